"""ProxyError                   answered to the caller; rendered once, in `app.answer_errors`, in their own format
├ RequestInvalid        400
├ ClientUnauthorized    401
├ RouteUnknown          404
├ MethodUnknown         405
├ BodyTimedOut          408
├ BodyTooLarge          413
├ CodingUnknown         415
├ ExpectationUnknown    417
├ HeadTooLarge          431
├ Overloaded            503   all of this server's places are taken
│ └ RateLimited         429   all of this client's are
├ ClassifierUnavailable 503
├ UpstreamUnreachable   502
└ UpstreamTimedOut      504
ClassifierFailed             no decision from Triton; never reaches the caller as such
ConfigurationInvalid         at start or reload: each problem with its place and the reason
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from routing_policy.problem import Problem, summary

from .outcomes import Outcome

ErrorFormat = Literal["openai", "anthropic"]

# https://docs.anthropic.com/en/api/errors
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    503: "overloaded_error",
}


class ConfigurationInvalid(Exception):
    """A setting or a file that must not be served: all that is wrong with it."""

    def __init__(self, problem: Problem, *more: Problem) -> None:
        self.problems = (problem, *more)
        super().__init__(summary(self.problems))


class ClassifierFailed(Exception):
    """Triton gave no usable decision; `outcome` is what that makes of the request."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class ProxyError(Exception):
    """An answer of our own: status, OpenAI's error type and code, and what the caller can do about it."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, param: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer carries."""
        return {} if self.retry_after_seconds is None else {"Retry-After": str(self.retry_after_seconds)}


class RequestInvalid(ProxyError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class ClientUnauthorized(ProxyError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}  # RFC 9110 §11.6.1


class RouteUnknown(ProxyError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodUnknown(ProxyError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self._allowed = sorted(allowed)

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self._allowed)}  # RFC 9110 §15.5.6


class BodyTimedOut(ProxyError):
    status = 408
    type = "invalid_request_error"
    code = "body_timeout"


class BodyTooLarge(ProxyError):
    status = 413
    type = "invalid_request_error"
    code = "body_too_large"


class CodingUnknown(ProxyError):
    status = 415
    type = "invalid_request_error"
    code = "unknown_coding"

    def __init__(self, message: str, *, known: Iterable[str]) -> None:
        super().__init__(message)
        self._known = list(known)

    @property
    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": ", ".join(self._known)}  # RFC 9110 §12.5.3: in an answer, what a request may use


class ExpectationUnknown(ProxyError):
    status = 417
    type = "invalid_request_error"
    code = "unknown_expectation"


class HeadTooLarge(ProxyError):
    status = 431
    type = "invalid_request_error"
    code = "head_too_large"


class Overloaded(ProxyError):
    status = 503
    type = "server_error"
    code = "overloaded"


class RateLimited(Overloaded):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class ClassifierUnavailable(ProxyError):
    status = 503
    type = "server_error"
    code = "classifier_unavailable"


class UpstreamUnreachable(ProxyError):
    status = 502
    type = "server_error"
    code = "upstream_unreachable"
    result = "unreachable"  # in metrics and the log


class UpstreamTimedOut(ProxyError):
    status = 504
    type = "server_error"
    code = "upstream_timed_out"
    result = "timed_out"


def render_error(error: ProxyError, error_format: ErrorFormat) -> bytes:
    """Return the JSON body for `error` as OpenAI's or Anthropic's clients expect it."""
    message = error.message.encode(errors="backslashreplace").decode()  # bytes that are no UTF-8, quoted from a head
    if error_format == "anthropic":
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
    detail = {"message": message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": detail})
