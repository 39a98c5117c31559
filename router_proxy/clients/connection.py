"""One connection of a client: closed when its head is slow or its answer unread, answered in our words when unreadable.

aiohttp's own would log the bytes that it cannot read, keys and prompts among them, and answer in HTTP/1.0.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import LineTooLong

from router_proxy.errors import HeadTooLarge, Overloaded, ProxyError, RequestInvalid, render_error

_JSON = "application/json"
_LINGER_SECONDS = 1.0  # for a client to read its refusal before the connection is gone


class Gate(Protocol):
    """Who says whether there is room for one more connection, and counts how they end."""

    def has_room(self) -> bool:
        """Return whether one more may come in, having made room for it if need be."""

    def may_explain(self) -> bool:
        """Return whether a client without room may stay long enough to read why."""

    def ended(self, reason: str) -> None:
        """Count a connection that was ended from this side."""

    def explained(self) -> None:
        """Note that a client that was told why is gone."""


class _Refusal(web.Response):
    """An answer that does not say which library gives it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


class Connection(web.RequestHandler):
    """aiohttp's protocol, whose hooks these are, with limits in time and with answers of our own."""

    __slots__ = ("_gate", "_head_seconds", "_head_timer", "_is_refused", "_unread_timer")

    def __init__(self, manager: web.Server, *, gate: Gate, head_seconds: float, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._gate = gate
        self._head_seconds = head_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._is_refused = False

    @property
    def is_idle(self) -> bool:
        """Whether no request is here, at most the beginning of one."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def rests_until(self) -> float:
        return self._next_keepalive_close_time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._gate.has_room():
            super().connection_made(transport)
            self._await_head()
        else:
            self._refuse(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is not None:
            if self._messages:
                self._head_timer.cancel()
                self._head_timer = None
        elif data and self._waiter is not None and not self._waiter.done():
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        if self._is_refused:
            self._gate.explained()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self._loop.call_later(self._keepalive_timeout, self._end_unread)

    def resume_writing(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it holds what was sent
    ) -> web.StreamResponse:
        """Answer what could not be read as a request, in JSON, and say nothing of it in any log."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        self._gate.ended("unreadable")
        request._version = HttpVersion11  # noqa: SLF001 - aiohttp assumes 1.0 of what it could not read
        error = _readable(exc) if status < web.HTTPInternalServerError.status_code else ProxyError(_FAILED)
        return _refusal(error)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Put an answer of our own in place of one of aiohttp's, as to an expectation where there is no route."""
        if isinstance(resp, web.HTTPException):
            resp = _refusal(RequestInvalid(f"{resp.reason}: this server cannot do that", code="invalid_http"))
        return super().finish_response(request, resp, start_time)

    def make_room(self) -> None:
        """Close this idle connection in favour of another."""
        self._gate.ended("idle_for_another")
        self.force_close()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_seconds, self._end_slow_head)

    def _end_slow_head(self) -> None:
        self._head_timer = None
        if self._waiter is not None and not self._waiter.done():
            self._gate.ended("slow_head")
            self.force_close()

    def _end_unread(self) -> None:
        """Give up an answer of our own; who passes on an upstream's watches that itself."""
        self._unread_timer = None
        if self._current_request is None and self.transport is not None:
            self._gate.ended("unread")
            self.transport.abort()

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Say that there is no room, and leave the client a moment to read it: a close at once could take it away."""
        self._gate.ended("no_room")
        self._force_close = True  # from here on nothing is read as a request
        if not self._gate.may_explain():
            transport.abort()
            return
        self._is_refused = True
        self.transport = transport
        transport.write(_no_room())
        self._loop.call_later(_LINGER_SECONDS, transport.abort)


_FAILED = "The proxy failed on this request; its log has the details."


def _refusal(error: ProxyError) -> web.Response:
    """Return the answer after which a connection is closed."""
    response = _Refusal(status=error.status, body=render_error(error, "openai"), content_type=_JSON)
    response.force_close()
    return response


def _readable(exc: BaseException | None) -> ProxyError:
    if isinstance(exc, LineTooLong):
        return HeadTooLarge("request head: expected lines of at most 8190 bytes")
    return RequestInvalid("expected an HTTP/1.1 request (RFC 9112), got something else", code="invalid_http")


def _no_room() -> bytes:
    error = Overloaded("This server has as many connections as it can take.", retry_after_seconds=1)
    body = render_error(error, "openai")
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
