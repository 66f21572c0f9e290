"""How a call looks on the wire, and how an answer is read: no input or output, so that the sync and the async client share it."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from .errors import (
    ConfigurationError,
    ConnectionFailed,
    GatewayError,
    SmarterMCPError,
    UnexpectedAnswer,
    gateway_error,
)

#: More than any tool answers.
ANSWER_MAX = 64 * 1024 * 1024
#: More than one event of a stream holds: the last one has all of the lines.
EVENT_MAX = 8 * 1024 * 1024
#: Longer messages say nothing more.
_MESSAGE_MAX = 4000

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Operation:
    """A route of the gateway. `name` is how it is called here, `id` how the gateway calls it, `since` the version that brought it."""

    name: str
    id: str
    verb: str
    path: str
    writes: bool
    since: str


@dataclass(frozen=True)
class Request:
    """A call as it is sent. Shown in a traceback, it keeps to itself what was said."""

    operation: Operation
    path: str = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a call, as the logging hook gets it. It holds no token, no argument and no answer."""

    #: As it is called here, e.g. `crm.contacts.search`.
    operation: str
    verb: str
    #: The route, with its parameters' names in place of what they were.
    path: str
    #: 1 for the first.
    number: int
    seconds: float
    #: Of the gateway's answer; None where there was none.
    status: int | None
    request_id: str | None
    #: The failure, if it was one: the gateway's code, else the class of the error.
    failure: str | None
    #: How long the client waits before it tries again; None where it does not.
    retry_in: float | None


Hook = Callable[[Attempt], None]


def prepared(operation: Operation, parameters: Mapping[str, Any]) -> Request:
    """Puts each parameter where it belongs: into the path where the route names it, else into the query or the body. None is left out."""
    with _sendable(operation):
        rest = {name: plain(value) for name, value in parameters.items() if value is not None}
        segments: list[str] = []
        for segment in operation.path.split("/"):
            if segment.startswith("{"):
                segment = _segment(operation, segment[1:-1], rest.pop(segment[1:-1], ""))
            segments.append(segment)
        path = "/".join(segments)
        if operation.verb in ("GET", "DELETE"):
            return Request(operation, path, tuple(_pairs(rest)), None)
        return Request(operation, path, (), _json(rest).encode())


def prepared_by_name(operation: Operation, name: str, arguments: Mapping[str, Any]) -> Request:
    """The call of any tool: its name in the path, and all of its arguments in the body. They are its own: one may be called `name` too."""
    with _sendable(operation):
        return dataclasses.replace(prepared(operation, {"name": name}), body=_json(plain(arguments)).encode())


@contextmanager
def _sendable(operation: Operation) -> Generator[None, None, None]:
    """Tells what no JSON and no address can hold as an error of ours: why, never what, and so `from None`."""
    try:
        yield
    except ConfigurationError:
        raise
    except (TypeError, ValueError, RecursionError) as wrong:
        raise ConfigurationError(f"{operation.name}: the arguments cannot be written as JSON: {wrong}") from None


def _segment(operation: Operation, name: str, value: Any) -> str:
    """A value in the path. Dots alone would lead to another route."""
    text = value if isinstance(value, str) else _json(value)
    if text in ("", ".", ".."):
        raise ConfigurationError(f"{operation.name}: {name} must not be {text!r}")
    return quote(text, safe="")


def _pairs(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """As a query. A list is written `name[]`: the gateway cuts what is written otherwise at commas."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        values: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        written = f"{name}[]" if isinstance(value, list) else name
        pairs += [(written, one if isinstance(one, str) else _json(one)) for one in values]
    return pairs


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: results may be passed on as arguments."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in cast("Collection[Any]", value)]
    return value


def read_answer(kind: type[Answer], body: bytes, request_id: str | None) -> Answer:
    """An answer as its type."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        # Where and why, never what: the answer may hold a secret, and so `from None`.
        wrong = [f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: {one['msg']}" for one in error.errors(include_input=False)]
    raise UnexpectedAnswer(f"The answer is not what was expected: {'; '.join(wrong[:5])}", request_id=request_id) from None


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> SmarterMCPError:
    """The error of an answer that is no success."""
    if 300 <= status < 400:
        return UnexpectedAnswer(f"The endpoint redirects (HTTP {status}), and the token does not go along; name the address that it leads to")
    problem = _problem(body)
    code = problem.get("code")
    # A proxy in front has no problem to tell; it says by the status that it may pass.
    retryable = problem.get("retryable", status in (429, 502, 503, 504))
    message = problem.get("detail") or f"The gateway, or a proxy before it, answered HTTP {status} without a reason"
    return gateway_error(status, str(problem.get("title", "")))(
        str(message)[:_MESSAGE_MAX],
        status=status,
        code=str(code) if code else f"http_{status}",
        retryable=retryable is True,
        retry_after=_retry_after(headers.get("retry-after")),
        replayed=headers.get("idempotent-replayed") == "true",
        request_id=_text(problem.get("request_id")) or headers.get("x-request-id"),
    )


def broken_off(data: str, request_id: str | None) -> SmarterMCPError:
    """The error that a stream ended with."""
    problem = _problem(data.encode())
    status = problem.get("status")
    return refusal(status if isinstance(status, int) else 500, {"x-request-id": request_id or ""}, data.encode())


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        # Whoever asked says what that means.
        return {}
    return cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _retry_after(header: str | None) -> float | None:
    """Seconds, or a date (RFC 9110 §10.2.3)."""
    if header is None:
        return None
    if re.fullmatch("[0-9]+", header.strip()):
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=timezone.utc)
    seconds: float = (until - datetime.now(timezone.utc)).total_seconds()
    return max(0.0, seconds)


def is_older(version: str, than: str) -> bool:
    """Of two versions such as 1.10.0 and 1.9.2-rc.1; what follows the numbers is left out."""

    def numbers(text: str) -> list[int]:
        return [int(number) for number in re.findall("[0-9]{1,9}", re.split(r"[-+]", text, maxsplit=1)[0])[:3]]

    return numbers(version) < numbers(than)


@dataclass(frozen=True)
class Retries:
    """When a call is tried again: the connection failed, or the gateway says that the same call may succeed later."""

    attempts: int
    wait_max: float

    def wait(self, number: int, error: SmarterMCPError) -> float | None:
        """How long to wait after this attempt failed so; None to give up."""
        if number >= self.attempts:
            return None
        # Half of it by chance, so that clients that failed together do not come back together.
        backoff = min(8.0, 0.25 * 2.0 ** min(number - 1, 5)) * random.uniform(0.5, 1.0)
        if isinstance(error, ConnectionFailed):
            return backoff
        if not isinstance(error, GatewayError) or not error.retryable or error.replayed:
            # A replayed failure stays the same for as long as the key is kept.
            return None
        if error.retry_after is None:
            return backoff
        # Never earlier than told.
        wait = error.retry_after + random.uniform(0.0, 0.1 + 0.1 * error.retry_after)
        return wait if error.retry_after <= self.wait_max else None


def whole_lines(kept: bytearray, chunk: bytes) -> list[bytes]:
    """The whole lines that a chunk completes; the rest is kept."""
    kept += chunk
    lines: list[bytes] = []
    # What was kept has no line's end in it: it is not looked through again with every chunk.
    if b"\n" in chunk:
        *lines, rest = bytes(kept).split(b"\n")
        kept[:] = rest
    if len(kept) > EVENT_MAX:
        raise UnexpectedAnswer(f"An event of the stream is larger than {EVENT_MAX // 1024 // 1024} MiB")
    return [line.removesuffix(b"\r") for line in lines]
