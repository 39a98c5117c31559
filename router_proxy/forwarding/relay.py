"""An answer that has begun, streamed back as it arrives."""

import asyncio
from types import TracebackType

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from router_proxy.record.exchange import Exchange
from router_proxy.record.usage import TAIL_BYTES, read_usage
from router_proxy.request.headers import forwarded_response_headers, keep_bytes
from router_proxy.upstreams.upstreams import Upstream

from .sending import Begun

_SHORT_BYTES = 2**15  # half of what a transport takes before it asks to wait; heads are far below the other half


class _Relayed(web.StreamResponse):
    """An answer whose head goes out with its first bytes, which are here before it is begun; `tail` is its end."""

    _send_headers_immediately = False
    tail = b""

    async def _write_headers(self) -> None:
        await super()._write_headers()
        if self._payload_writer is not None:
            keep_bytes(self._payload_writer, self.headers)

    def keep(self, chunk: bytes) -> None:
        self.tail = (self.tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]


class AnswerBrokeOff(Exception):
    """An answer came to a halt after its first byte: too late for another, so its client is cut off too."""


async def stream_back(request: web.Request, begun: Begun, upstream: Upstream, exchange: Exchange) -> web.StreamResponse:
    """Answer `request` with what the upstream sends, chunk by chunk, no faster than the client reads."""
    answer = begun.response
    response = _Relayed(status=answer.status, reason=answer.reason, headers=_headers_of(answer, exchange))
    exchange.answer_head = begun.first
    watch = StallWatch(upstream.timeouts.between_chunks, ends_at=begun.ends_at)
    try:
        await response.prepare(request)
        if _goes_out_at_once(request, begun):
            response.keep(begun.first)
            await response.write_eof(begun.first)
        else:
            async with watch:
                await _pass_on(begun, response, watch)
    except AnswerBrokeOff:
        exchange.note_break("aborted")
        cut_off(request)
    except TimeoutError:
        exchange.note_break(watch.result)
        cut_off(request)
    except ConnectionError:  # the client went away
        exchange.note_break("cancelled")
        cut_off(request)
    except asyncio.CancelledError:
        exchange.note_break("cancelled")
        raise
    finally:
        exchange.usage = read_usage(response.tail)
    return response


def cut_off(request: web.Request) -> None:
    """End the connection: once the status line is gone, nothing else tells a client that an answer is not whole."""
    if request.transport is not None:
        request.transport.abort()


def _headers_of(answer: aiohttp.ClientResponse, exchange: Exchange) -> CIMultiDict[str]:
    headers = forwarded_response_headers(answer.headers)
    location = answer.headers.get("Location")
    if location is not None and exchange.answered_at is not None:
        _, endpoint = exchange.answered_at
        if path := endpoint.path_here(location):
            headers["Location"] = path
    return headers


def _goes_out_at_once(request: web.Request, begun: Begun) -> bool:
    """Whether the answer is whole and short, and nothing waits to be sent before it: then there is no wait to watch."""
    transport = request.transport
    return (
        len(begun.first) <= _SHORT_BYTES
        and begun.response.content.at_eof()
        and not begun.was_cut
        and transport is not None
        and transport.get_write_buffer_size() == 0
    )


async def _pass_on(begun: Begun, response: _Relayed, watch: "StallWatch") -> None:
    """Write chunk by chunk; the last goes out with what ends the answer: one system call, and one packet, fewer."""
    content, chunk = begun.response.content, begun.first
    while not content.at_eof():
        watch.waits("cancelled")  # by a client that reads no more
        await response.write(chunk)
        response.keep(chunk)
        watch.waits("aborted")
        chunk = await next_chunk(begun)
    response.keep(chunk)
    watch.waits("cancelled")
    if begun.was_cut:
        await response.write(chunk)
        raise AnswerBrokeOff
    await response.write_eof(chunk)


async def next_chunk(begun: Begun) -> bytes:
    try:
        return await begun.response.content.readany()
    except (aiohttp.ClientError, OSError) as exc:
        raise AnswerBrokeOff from exc


class StallWatch:
    """Raises TimeoutError in the block it surrounds once a wait takes longer than `seconds` or lasts past `ends_at`.

    `result` is what that makes of the answer, as the wait it happened in says.
    """

    def __init__(self, seconds: float, *, ends_at: float) -> None:
        self.result = ""
        self._seconds = seconds
        self._ends_at = ends_at
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)

    def waits(self, result: str) -> None:
        """Begin another wait."""
        self.result = result
        self._deadline = min(self._loop.time() + self._seconds, self._ends_at)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self.waits("")
        self._timer = self._loop.call_at(self._deadline, self._look)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        else:
            self._timeout.reschedule(self._deadline)
