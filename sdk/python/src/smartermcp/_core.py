"""The client proper: sends calls, repeats what may be repeated, and reads answers.

This file is the source of both clients. The generator writes `_generated/sync_core.py` from it, word by word (see sdk/generate/python.py),
so that the two cannot differ.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property, partial
from time import monotonic
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx
from anyio import sleep
from typing_extensions import Self

from ._generated.operations import BY_ID
from ._generated.version import VERSION
from ._result import Health, OpenResult, Page, Result, Tools, Whoami
from ._wire import (
    ANSWER_MAX,
    Attempt,
    Hook,
    Operation,
    Request,
    Retries,
    broken_off,
    is_older,
    prepared,
    prepared_by_name,
    read_answer,
    refusal,
    whole_lines,
)
from .errors import (
    ConfigurationError,
    ConnectionFailed,
    GatewayError,
    NotSupportedByGateway,
    SmarterMCPError,
    TimedOut,
    UnexpectedAnswer,
)

ENDPOINT = "https://mcp.smarterbot.cl"

_Result = TypeVar("_Result", bound=Result)
_Item = TypeVar("_Item")
_Read = TypeVar("_Read")

_log = logging.getLogger("smartermcp")

_WHOAMI = Operation("whoami", "whoami", "GET", "/api/v1/whoami", False, "1.0.0")
_HEALTH = Operation("health", "health", "GET", "/health", False, "1.0.0")
_TOOLS_LIST = Operation("tools.list", "list_tools", "GET", "/api/v1/tools", False, "1.0.0")
# Nobody here knows what the tool does: each call has a key, which a tool that only reads ignores.
_TOOLS_CALL = Operation("tools.call", "call_tool", "POST", "/api/v1/tools/{name}", True, "1.0.0")


class AsyncBase:
    """The client without the resources, which are generated."""

    def __init__(
        self,
        api_token: str | None = None,
        tenant_id: str | None = None,
        *,
        endpoint: str | None = None,
        timeout: float = 150.0,
        max_retries: int = 3,
        max_retry_wait: float = 60.0,
        on_attempt: Hook | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        """Sends nothing yet; a token that does not work is told at the first call.

        Args:
            api_token: An `smcp_` token; SMARTERMCP_API_TOKEN unless said.
            tenant_id: The tenant's id; SMARTERMCP_TENANT_ID unless said, else the token's own tenant.
            endpoint: Where the gateway is; SMARTERMCP_ENDPOINT unless said, else https://mcp.smarterbot.cl.
            timeout: Seconds for an attempt at a call; the gateway's slowest tools take two minutes.
            max_retries: How often a call is tried again: when the connection fails, and when the gateway says that it may succeed later.
            max_retry_wait: How many seconds the client waits when the gateway asks to; asked for more, it raises the error at once.
            on_attempt: Called after each attempt with what can be logged: an `Attempt` has no token, argument or answer.
            http_client: An HTTP client of your own, for a proxy or certificates. You close it.
        """
        retries = Retries(max_retries + 1, _seconds("max_retry_wait", max_retry_wait, 0.0))
        self._core = AsyncCore(api_token, tenant_id, endpoint, timeout, retries, on_attempt, http_client)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(endpoint={self._core.endpoint!r}, tenant_id={self._core.tenant_id!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. A client does not work after it."""
        await self._core.close()

    @cached_property
    def tools(self) -> AsyncToolsByName:
        """Every tool by its name, also one that this package does not know yet."""
        return AsyncToolsByName(self._core)

    async def whoami(self) -> Whoami:
        """Shows whose token this is, its limits, and what is left of the plan."""
        return await self._core.call(_WHOAMI, Whoami, {})

    async def health(self) -> Health:
        """Shows how the gateway does, and its version. An unhealthy gateway's answer is an answer too."""
        return await self._core.health()


class AsyncToolsByName:
    """Every tool by its name, also one that this package does not know yet."""

    def __init__(self, core: AsyncCore) -> None:
        self._core = core

    async def list(self) -> Tools:
        """Lists the tools that this token may call."""
        return await self._core.call(_TOOLS_LIST, Tools, {})

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> OpenResult:
        """Calls a tool.

        Args:
            name: The tool's name, e.g. `workflows_trigger`.
            arguments: What it takes, by the names that `tools.list()` shows.
            timeout: Seconds for an attempt; the client's own unless said.
            idempotency_key: With the same key and arguments, a tool that writes does its work once. Made for each call unless said.
        """
        return await self._core.call_tool(name, arguments or {}, timeout, idempotency_key)


class AsyncCore:
    """What every method is called through."""

    def __init__(
        self,
        api_token: str | None,
        tenant_id: str | None,
        endpoint: str | None,
        timeout: float,
        retries: Retries,
        on_attempt: Hook | None,
        http_client: httpx.AsyncClient | None,
    ) -> None:
        self.endpoint = _endpoint(endpoint or os.environ.get("SMARTERMCP_ENDPOINT") or ENDPOINT)
        self.tenant_id = tenant_id or os.environ.get("SMARTERMCP_TENANT_ID") or None
        # Of httpx, since it shows the token to nobody who prints it.
        self._headers = httpx.Headers({"User-Agent": f"smartermcp-python/{VERSION}"})
        self._headers["Authorization"] = f"Bearer {_token(api_token or os.environ.get('SMARTERMCP_API_TOKEN'))}"
        if self.tenant_id is not None:
            self._headers["X-Tenant-ID"] = _header("tenant_id", self.tenant_id)
        self._timeout = _seconds("timeout", timeout, 0.001)
        self._retries = retries
        self._on_attempt = on_attempt
        self._owns_http = http_client is None
        self._http = http_client or httpx.AsyncClient()

    async def close(self) -> None:
        """Closes the connections, unless the HTTP client is the caller's own."""
        if self._owns_http:
            await self._http.aclose()

    async def call(
        self,
        operation: Operation,
        kind: type[_Result],
        parameters: Mapping[str, Any],
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> _Result:
        """Calls, and reads the answer as its type."""
        return await self._exchange(prepared(operation, parameters), partial(read_answer, kind), timeout, idempotency_key)

    async def send(
        self,
        operation: Operation,
        parameters: Mapping[str, Any],
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Calls what answers nothing."""
        await self._exchange(prepared(operation, parameters), lambda body, request_id: None, timeout, idempotency_key)

    async def pages(
        self,
        operation: Operation,
        kind: type[Page[_Item]],
        parameters: Mapping[str, Any],
        timeout: float | None = None,
    ) -> AsyncIterator[_Item]:
        """The items of all pages; a page is asked for when the one before is used up."""
        cursor: str | None = None
        seen: set[str | None] = set()
        while True:
            seen.add(cursor)
            page = await self.call(operation, kind, {**parameters, "cursor": cursor}, timeout)
            for one in page:
                yield one
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise UnexpectedAnswer(f"{operation.name}: the next page is one that was there already, and the list would never end")

    async def follow(
        self, operation: Operation, kind: type[_Result], parameters: Mapping[str, Any], timeout: float | None = None
    ) -> AsyncLines[_Result]:
        """Opens a stream of lines."""
        request = prepared(operation, parameters)
        seconds = self._seconds(timeout)
        number = 1
        while True:
            started = monotonic()
            response: httpx.Response | None = None
            try:
                response = await self._begin(request, "text/event-stream, application/json", seconds, None)
                if response.status_code == 200:
                    self._tell(request, number, started, response, None, None)
                    return AsyncLines(response, kind, seconds)
                body = await _body(response, seconds)
                error: SmarterMCPError = refusal(response.status_code, response.headers, body)
            except httpx.TransportError as failure:
                error = _failed(failure, self.endpoint)
            except UnexpectedAnswer as unreadable:
                error = unreadable
            await self._again(request, number, started, response, error, None)
            number += 1

    async def health(self) -> Health:
        """Asked once: whoever asks how it does wants to know it now."""
        try:
            response = await self._begin(prepared(_HEALTH, {}), "application/json", self._timeout, None)
            body = await _body(response, self._timeout)
        except httpx.TransportError as failure:
            raise _failed(failure, self.endpoint) from failure
        if response.status_code not in (200, 503):
            raise refusal(response.status_code, response.headers, body)
        return read_answer(Health, body, response.headers.get("x-request-id"))

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any], timeout: float | None, idempotency_key: str | None
    ) -> OpenResult:
        """Calls any tool."""
        called = dataclasses.replace(_TOOLS_CALL, since=BY_ID[name].since) if name in BY_ID else _TOOLS_CALL

        def read(body: bytes, request_id: str | None) -> OpenResult:
            return read_answer(OpenResult, body or b"{}", request_id)

        return await self._exchange(prepared_by_name(called, name, arguments), read, timeout, idempotency_key)

    async def _exchange(
        self,
        request: Request,
        read: Callable[[bytes, str | None], _Read],
        timeout: float | None,
        idempotency_key: str | None,
    ) -> _Read:
        """Sends until it is answered, and no longer than it makes sense. Every attempt at a write has the same key."""
        key: str | None = None
        if request.operation.writes:
            key = str(uuid.uuid4()) if idempotency_key is None else _header("idempotency_key", idempotency_key)
        seconds = self._seconds(timeout)
        number = 1
        while True:
            started = monotonic()
            response: httpx.Response | None = None
            try:
                response = await self._begin(request, "application/json", seconds, key)
                body = await _body(response, seconds)
                if 200 <= response.status_code < 300:
                    answer = read(body, response.headers.get("x-request-id"))
                    self._tell(request, number, started, response, None, None)
                    return answer
                error: SmarterMCPError = refusal(response.status_code, response.headers, body)
            except httpx.TransportError as failure:
                error = _failed(failure, self.endpoint)
            except UnexpectedAnswer as unreadable:
                error = unreadable
            await self._again(request, number, started, response, error, key)
            number += 1

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else _seconds("timeout", timeout, 0.001)

    async def _begin(self, request: Request, accept: str, seconds: float, key: str | None) -> httpx.Response:
        """Sends, and reads the head of the answer."""
        if self._http.is_closed:
            raise ConfigurationError("The client is closed: make one and keep it")
        headers = self._headers.copy()
        headers["Accept"] = accept
        if key is not None:
            headers["Idempotency-Key"] = key
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        sent = self._http.build_request(
            request.operation.verb,
            self.endpoint + request.path,
            params=request.query or None,
            content=request.body,
            headers=headers,
            timeout=httpx.Timeout(seconds, connect=min(10.0, seconds)),
        )
        return await self._http.send(sent, stream=True, follow_redirects=False)

    async def _again(
        self,
        request: Request,
        number: int,
        started: float,
        response: httpx.Response | None,
        error: SmarterMCPError,
        key: str | None,
    ) -> None:
        """Waits for the next attempt, or raises what the last one ended with."""
        error.idempotency_key = key
        if response is not None:
            error.request_id = error.request_id or response.headers.get("x-request-id")
        # Once it is closed, what is raised must still say that the attempt before may have been done.
        wait = None if self._http.is_closed else self._retries.wait(number, error)
        self._tell(request, number, started, response, error, wait)
        if wait is None:
            raise await self._explained(request, error)
        await sleep(wait)
        if self._http.is_closed:
            raise error

    async def _explained(self, request: Request, error: SmarterMCPError) -> SmarterMCPError:
        """A route that is not there is a gateway that is too old for it."""
        unknown = ("no_route", "method_not_allowed", "unknown_tool")
        if not isinstance(error, GatewayError) or error.code not in unknown:
            return error
        if error.code == "unknown_tool" and request.operation is _TOOLS_CALL:
            return error
        try:
            version = (await self.health()).version
        except SmarterMCPError as unhealthy:
            _log.debug("the gateway's version cannot be told: %s", unhealthy)
            version = None
        needed = request.operation.since
        if version is not None and not is_older(version, needed):
            return error
        told = f"the gateway at {self.endpoint} is {version}" if version else f"{self.endpoint} tells no version; check the endpoint"
        explained = NotSupportedByGateway(
            f"{request.operation.name} needs SmarterMCP {needed} or newer, and {told}", request_id=error.request_id
        )
        explained.__cause__ = error
        return explained

    def _tell(
        self,
        request: Request,
        number: int,
        started: float,
        response: httpx.Response | None,
        error: SmarterMCPError | None,
        retry_in: float | None,
    ) -> None:
        attempt = Attempt(
            operation=request.operation.name,
            verb=request.operation.verb,
            path=request.operation.path,
            number=number,
            seconds=monotonic() - started,
            status=response.status_code if response is not None else None,
            request_id=response.headers.get("x-request-id") if response is not None else None,
            failure=error.code if isinstance(error, GatewayError) else type(error).__name__ if error else None,
            retry_in=retry_in,
        )
        _log.debug("%s", attempt)
        if self._on_attempt is not None:
            try:
                self._on_attempt(attempt)
            except Exception:
                # The call is more than its log.
                _log.exception("on_attempt failed")


class AsyncLines(Generic[_Result]):
    """Lines as they are written, until the gateway ends the stream. Then `result` is the answer as a whole.

    Iterate it, or use it as a context manager to leave before the end.
    """

    def __init__(self, response: httpx.Response, kind: type[_Result], seconds: float) -> None:
        self._response = response
        self._kind = kind
        self._seconds = seconds
        self._request_id: str | None = response.headers.get("x-request-id")
        self._lines = self._read()
        #: The answer, once the stream has ended.
        self.result: _Result | None = None

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        return await self._lines.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Leaves the stream."""
        await self._response.aclose()

    async def _read(self) -> AsyncIterator[str]:
        try:
            if not self._response.headers.get("content-type", "").startswith("text/event-stream"):
                # Nothing is to come: the answer is whole.
                self.result = read_answer(self._kind, await _body(self._response, self._seconds), self._request_id)
                for line in self.result["lines"]:
                    yield line
                return
            async for event, data in self._events():
                if event == "line":
                    yield data
                elif event == "error":
                    raise broken_off(data, self._request_id)
                elif event == "end":
                    self.result = read_answer(self._kind, data.encode(), self._request_id)
                    return
            raise ConnectionFailed("The stream broke off before its end", request_id=self._request_id)
        except httpx.DecodingError as failure:
            raise UnexpectedAnswer("The answer's compression is broken", request_id=self._request_id) from failure
        except (httpx.TransportError, httpx.StreamError) as failure:
            raise ConnectionFailed("The stream broke off before its end", request_id=self._request_id) from failure
        finally:
            await self.close()

    async def _events(self) -> AsyncIterator[tuple[str, str]]:
        """Server-sent events (WHATWG HTML §9.2), as the gateway sends them: one line of data each."""
        kept = bytearray()
        event = ""
        async for chunk in self._response.aiter_bytes():
            for line in whole_lines(kept, chunk):
                if line.startswith(b"event:"):
                    event = line[6:].strip().decode(errors="replace")
                elif line.startswith(b"data:"):
                    yield event, line[5:].removeprefix(b" ").decode(errors="replace")


async def _body(response: httpx.Response, seconds: float) -> bytes:
    """The body, unless it is endless in length or time."""
    until = monotonic() + seconds
    request_id = response.headers.get("x-request-id")
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_MAX:
                raise UnexpectedAnswer(f"The answer is larger than {ANSWER_MAX // 1024 // 1024} MiB", request_id=request_id)
            if monotonic() > until:
                raise httpx.ReadTimeout("the answer did not end in time")
    except httpx.DecodingError as failure:
        raise UnexpectedAnswer("The answer's compression is broken", request_id=request_id) from failure
    finally:
        await response.aclose()
    return bytes(body)


def _failed(failure: httpx.TransportError, endpoint: str) -> ConnectionFailed:
    if isinstance(failure, httpx.TimeoutException):
        error: ConnectionFailed = TimedOut(f"{endpoint} did not answer in time")
    else:
        why = f": {failure}" if str(failure) else ""
        error = ConnectionFailed(f"{endpoint} cannot be reached, or the connection broke{why}")
    error.__cause__ = failure
    return error


def _endpoint(text: str) -> str:
    """The endpoint without its last slash. What is no address fails here, and is not told: it may hold a password."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 1) < 65536:
        raise ConfigurationError(f"endpoint must be an address such as {ENDPOINT}")
    if url.userinfo or url.query or url.fragment:
        raise ConfigurationError("endpoint must be an address without credentials, query and fragment")
    return str(url.copy_with(query=None, fragment=None)).rstrip("/")


def _seconds(name: str, value: float, least: float) -> float:
    """A time that a clock can wait."""
    if not least <= value <= 1_000_000:
        raise ConfigurationError(f"{name} must be a number of seconds from {least} to 1000000")
    return value


def _token(text: str | None) -> str:
    if not text:
        raise ConfigurationError("There is no API token: pass api_token, or set SMARTERMCP_API_TOKEN")
    return _header("api_token", text)


def _header(name: str, value: str) -> str:
    """A value that can be sent in a header; the message does not repeat it."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(f"{name} must be visible ASCII characters without blanks")
    return value
