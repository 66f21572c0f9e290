"""What can go wrong: a class for each kind of failure, all of them a `SmarterMCPError`.

`str(error)` says what happened and what you can do. Nothing here holds a token or what was sent.
"""

from __future__ import annotations

from typing import ClassVar


class SmarterMCPError(Exception):
    """Any failure of this package. `request_id` finds the call in the gateway's log and audit, where the gateway answered at all."""

    #: What the caller can do, where the message itself does not say it.
    remedy: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id
        #: The key that the write was sent with: the same call with this key is never done twice.
        self.idempotency_key = idempotency_key

    def __str__(self) -> str:
        said = " ".join(part for part in (self.message.rstrip().rstrip(".") + ".", self.remedy) if part)
        told = self._told()
        return f"{said} ({', '.join(told)})" if told else said

    def _told(self) -> tuple[str, ...]:
        return (f"request {self.request_id}",) if self.request_id else ()


class ConfigurationError(SmarterMCPError, ValueError):
    """The client cannot be made, or a call cannot be sent, with these settings. Nothing was sent."""


class ConnectionFailed(SmarterMCPError):
    """The gateway could not be reached, or the connection broke, in every attempt. A write may have been done:
    repeat it with `idempotency_key`, and it is done once."""

    remedy = "Check the endpoint (SMARTERMCP_ENDPOINT) and the network; a write may be repeated with the error's idempotency_key."


class TimedOut(ConnectionFailed):
    """The gateway did not answer in time, in every attempt."""

    remedy = "Give the call more time (timeout=…); a write may be repeated with the error's idempotency_key."


class UnexpectedAnswer(SmarterMCPError):
    """The gateway, or somebody before it, answered what this version of the SDK cannot read. A write may have been done:
    `idempotency_key` is what it was sent with."""

    remedy = "Check the endpoint (SMARTERMCP_ENDPOINT), and that this package is as new as the gateway."


class NotSupportedByGateway(SmarterMCPError):
    """The gateway is older than the method."""


class GatewayError(SmarterMCPError):
    """The gateway refused a call, or failed at it. The classes below tell the kinds apart; `code` says more exactly what it was.

    The codes are listed in the gateway's docs/errors.md.
    """

    #: The HTTP status and the title by which the gateway tells this kind (RFC 9457).
    kind: ClassVar[tuple[int, str]] = (0, "")

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        retryable: bool,
        retry_after: float | None = None,
        replayed: bool = False,
        request_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, idempotency_key=idempotency_key)
        self.status = status
        self.code = code
        #: Whether the same call may succeed later.
        self.retryable = retryable
        #: How many seconds the gateway asks to wait.
        self.retry_after = retry_after
        #: Whether this is the kept outcome of an earlier call with the same idempotency key.
        self.replayed = replayed

    def _told(self) -> tuple[str, ...]:
        return (f"HTTP {self.status}", self.code, *super()._told())


class MalformedError(GatewayError):
    """The request cannot be read."""

    kind = (400, "The request cannot be read")


class UnauthenticatedError(GatewayError):
    """No token, or one that is unknown, expired or revoked."""

    kind = (401, "Unauthorized")
    remedy = (
        "Pass a token that works as api_token, or set SMARTERMCP_API_TOKEN. "
        "An administrator of your tenant issues one (client.tokens.create)."
    )


class ForbiddenError(GatewayError):
    """The token may not do this: it lacks the scope, or the operator has forbidden it."""

    kind = (403, "Not allowed")


class NotFoundError(GatewayError):
    """It is not there, or it is another tenant's: nobody is told which."""

    kind = (404, "Not found")


class MethodNotAllowedError(GatewayError):
    """The path does not take that HTTP method."""

    kind = (405, "Method not allowed")


class ConflictError(GatewayError):
    """It does not fit how things stand."""

    kind = (409, "Conflict")


class NotConnectedError(GatewayError):
    """The tenant has not connected the backend."""

    kind = (409, "Backend not connected")


class TooLargeError(GatewayError):
    """What was sent is too large."""

    kind = (413, "The request is too large")


class InvalidInputError(GatewayError):
    """A value is wrong; the message names it, and what it takes."""

    kind = (422, "A value in the request is wrong")


class RateLimitedError(GatewayError):
    """Too many calls, and the wait that the gateway asks for is longer than the client waits (`max_retry_wait`)."""

    kind = (429, "Rate limit exceeded")


class QuotaSpentError(GatewayError):
    """The plan's quota of this month is spent."""

    kind = (429, "Quota spent")


class InternalError(GatewayError):
    """The gateway's fault; its operator finds the reason under the request id."""

    kind = (500, "Internal error")


class BackendRefusedError(GatewayError):
    """The tenant's backend answered with a refusal or with nonsense."""

    kind = (502, "The backend refused")


class BackendDownError(GatewayError):
    """The tenant's backend cannot be reached, or is not well."""

    kind = (503, "The backend is unavailable")


class UnavailableError(GatewayError):
    """The gateway itself cannot take the call now."""

    kind = (503, "Temporarily unavailable")


class TimeLimitError(GatewayError):
    """The gateway's time limit for the tool, or for its backend, was over."""

    kind = (504, "Time limit exceeded")


_KINDS: dict[tuple[int, str], type[GatewayError]] = {kind.kind: kind for kind in GatewayError.__subclasses__()}
_BY_STATUS: dict[int, type[GatewayError]] = {}
for _kind in GatewayError.__subclasses__():
    _BY_STATUS.setdefault(_kind.kind[0], _kind)


def gateway_error(status: int, title: str) -> type[GatewayError]:
    """The class of a failure; where the kind is newer than this package, the nearest by status."""
    nearest = _BY_STATUS.get(status, InternalError if status >= 500 else GatewayError)
    return _KINDS.get((status, title), nearest)
