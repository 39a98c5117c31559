"""One request to one endpoint, and its answer streamed back as it arrives."""

import asyncio
import io
from http import HTTPStatus
from types import TracebackType

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from router_proxy.errors import UpstreamTimedOut, UpstreamUnreachable
from router_proxy.record.exchange import Exchange
from router_proxy.record.usage import TAIL_BYTES, read_usage
from router_proxy.request.headers import REQUEST_ID_HEADER, forwarded_request_headers, forwarded_response_headers
from router_proxy.upstreams.upstreams import Endpoint, Upstream

_JSON = "application/json"
_SHORT_BYTES = 2**15  # half of what a transport takes before it asks to wait; heads are far below the other half
_AIOHTTP_WARNS_ABOVE_BYTES = 2**20
# aiohttp would add these on its own where the client sent none.
SKIP_AUTO_HEADERS = frozenset({"Accept", "Accept-Encoding", "User-Agent", "Content-Type"})


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its upstream will see it."""

    method: str
    path_and_query: str
    headers: CIMultiDict[str]
    body: bytes | None


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of which the first bytes are here; `first` is empty where it has no body."""

    response: aiohttp.ClientResponse
    first: bytes
    ends_at: float  # on the loop's clock, whether it is whole by then or not


class _Relayed(web.StreamResponse):
    """An answer whose head goes out with its first bytes, which are here before it is begun; `tail` is its end."""

    _send_headers_immediately = False
    tail = b""

    def keep(self, chunk: bytes) -> None:
        self.tail = (self.tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]


class AnswerBrokeOff(Exception):
    """An answer came to a halt after its first byte: too late for another, so its client is cut off too."""


def outgoing_request(request: web.Request, upstream: Upstream, body: bytes, request_id: str) -> Outgoing:
    """Return `request` with `body`, cleaned for `upstream`; vLLM refuses JSON under any other content type."""
    headers = forwarded_request_headers(request.headers, keep_credentials=upstream.keeps_credentials)
    headers.update(upstream.own_headers)
    if not request.content_type.startswith("multipart/"):
        headers["Content-Type"] = _JSON
    headers[REQUEST_ID_HEADER] = request_id
    return Outgoing(method=request.method, path_and_query=request.raw_path, headers=headers, body=body)


async def send(session: aiohttp.ClientSession, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing) -> Begun:
    """Return the answer once its first byte is here; the one seam where aiohttp's errors become ours.

    Nothing is sent twice: an endpoint that did not answer may have worked on the request all the same.
    """
    timeouts = upstream.timeouts
    ends_at = asyncio.get_running_loop().time() + timeouts.total
    try:
        async with asyncio.timeout(min(timeouts.first_byte, timeouts.total)):
            response, first = await _begin(session, upstream, endpoint, outgoing)
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        endpoint.breaker.failed()
        raise _failure(upstream, exc) from exc
    if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        endpoint.breaker.failed()
    else:
        endpoint.breaker.succeeded()
    return Begun(response=response, first=first, ends_at=ends_at)


async def stream_back(request: web.Request, begun: Begun, upstream: Upstream, exchange: Exchange) -> web.StreamResponse:
    """Answer `request` with what the upstream sends, chunk by chunk, no faster than the client reads."""
    answer = begun.response
    response = _Relayed(status=answer.status, reason=answer.reason, headers=forwarded_response_headers(answer.headers))
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


async def read_whole(begun: Begun, upstream: Upstream) -> bytes:
    """Return the body of an answer that need not be passed on as it arrives."""
    chunks = [begun.first]
    watch = StallWatch(upstream.timeouts.between_chunks, ends_at=begun.ends_at)
    try:
        async with watch:
            while chunks[-1]:
                watch.waits("aborted")
                chunks.append(await _next_chunk(begun))
    except (AnswerBrokeOff, TimeoutError) as exc:
        raise UpstreamUnreachable(f"{upstream.name}: its answer broke off") from exc
    return b"".join(chunks)


def cut_off(request: web.Request) -> None:
    """End the connection: once the status line is gone, nothing else tells a client that an answer is not whole."""
    if request.transport is not None:
        request.transport.abort()


async def _begin(
    session: aiohttp.ClientSession, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing
) -> tuple[aiohttp.ClientResponse, bytes]:
    response = await session.request(
        outgoing.method,
        endpoint.url_for(outgoing.path_and_query),
        data=_payload(outgoing.body),
        headers=outgoing.headers,
        allow_redirects=False,
        ssl=upstream.trust,
        timeout=upstream.connect_timeout,
    )
    try:
        return response, await response.content.readany()
    except BaseException:  # cancelled, too: from here on nobody else closes it
        response.close()
        raise


def _failure(upstream: Upstream, error: Exception) -> UpstreamUnreachable | UpstreamTimedOut:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return UpstreamUnreachable(f"{upstream.name}: no connection within {upstream.timeouts.connect:g} s")
        case TimeoutError():
            return UpstreamTimedOut(f"{upstream.name}: no answer within {upstream.timeouts.first_byte:g} s")
        case _:
            return UpstreamUnreachable(f"{upstream.name}: {type(error).__name__}")


def _goes_out_at_once(request: web.Request, begun: Begun) -> bool:
    """Whether the answer is whole and short, and nothing waits to be sent before it: then there is no wait to watch."""
    transport = request.transport
    return (
        len(begun.first) <= _SHORT_BYTES
        and begun.response.content.at_eof()
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
        chunk = await _next_chunk(begun)
    response.keep(chunk)
    watch.waits("cancelled")
    await response.write_eof(chunk)


async def _next_chunk(begun: Begun) -> bytes:
    try:
        return await begun.response.content.readany()
    except (aiohttp.ClientError, OSError) as exc:
        raise AnswerBrokeOff from exc


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    if not body:
        return None
    if len(body) > _AIOHTTP_WARNS_ABOVE_BYTES:
        return io.BytesIO(body)  # sent in pieces, so that a large body does not hold up everybody else
    return body


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
