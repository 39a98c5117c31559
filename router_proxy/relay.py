"""One request to one endpoint, and its answer streamed back as it arrives."""

import asyncio
import io
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from .errors import UpstreamTimedOut, UpstreamUnreachable
from .exchange import Exchange
from .headers import REQUEST_ID_HEADER, forwarded_request_headers, forwarded_response_headers
from .upstreams import Endpoint, Upstream
from .usage import TAIL_BYTES, read_usage

_JSON = "application/json"
_AIOHTTP_WARNS_ABOVE_BYTES = 2**20
# aiohttp would add these on its own where the client sent none.
SKIP_AUTO_HEADERS = frozenset({"Accept", "Accept-Encoding", "User-Agent", "Content-Type"})


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its upstream will see it."""

    method: str
    path_and_query: str
    headers: CIMultiDict[str]
    body: bytes | None


def outgoing_request(request: web.Request, upstream: Upstream, body: bytes, request_id: str) -> Outgoing:
    """Return `request` with `body`, cleaned for `upstream`; vLLM refuses JSON under any other content type."""
    headers = forwarded_request_headers(request.headers, keep_credentials=upstream.keeps_credentials)
    headers.update(upstream.own_headers)
    if not request.content_type.startswith("multipart/"):
        headers["Content-Type"] = _JSON
    headers[REQUEST_ID_HEADER] = request_id
    return Outgoing(method=request.method, path_and_query=request.raw_path, headers=headers, body=body)


async def send(
    session: aiohttp.ClientSession, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing
) -> aiohttp.ClientResponse:
    """Return the answer as soon as its headers are here; the one seam where aiohttp's errors become ours."""
    timeouts = upstream.timeouts
    try:
        async with asyncio.timeout(timeouts.first_byte):
            answer = await _request(session, upstream, endpoint, outgoing)
    except aiohttp.ConnectionTimeoutError as exc:
        endpoint.breaker.failed()
        raise UpstreamUnreachable(f"{upstream.name}: no connection within {timeouts.connect:g} s") from exc
    except TimeoutError as exc:
        endpoint.breaker.failed()
        raise UpstreamTimedOut(f"{upstream.name}: no answer within {timeouts.first_byte:g} s") from exc
    except (aiohttp.ClientError, OSError) as exc:
        endpoint.breaker.failed()
        raise UpstreamUnreachable(f"{upstream.name}: {type(exc).__name__}") from exc
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        endpoint.breaker.failed()
    else:
        endpoint.breaker.succeeded()
    return answer


async def stream_back(
    request: web.Request, answer: aiohttp.ClientResponse, upstream: Upstream, exchange: Exchange
) -> web.StreamResponse:
    """Answer `request` with what the upstream sends, chunk by chunk, no faster than the client reads."""
    response = web.StreamResponse(
        status=answer.status, reason=answer.reason, headers=forwarded_response_headers(answer.headers)
    )
    tail = b""
    try:
        await response.prepare(request)
        async for chunk in _chunks(answer, upstream.timeouts.between_chunks):
            await response.write(chunk)
            exchange.answer_head = exchange.answer_head or chunk
            tail = (tail + chunk)[-TAIL_BYTES:]
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        exchange.broke_off()
        cut_off(request)
    exchange.usage = read_usage(tail)
    return response


def cut_off(request: web.Request) -> None:
    """End the connection: once the status line is gone, nothing else tells a client that an answer is not whole."""
    if request.transport is not None:
        request.transport.abort()


async def _request(
    session: aiohttp.ClientSession, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing
) -> aiohttp.ClientResponse:
    async def attempt() -> aiohttp.ClientResponse:
        return await session.request(
            outgoing.method,
            endpoint.url_for(outgoing.path_and_query),
            data=_payload(outgoing.body),
            headers=outgoing.headers,
            allow_redirects=False,
            ssl=upstream.trust,
            timeout=aiohttp.ClientTimeout(total=upstream.timeouts.total, sock_connect=upstream.timeouts.connect),
        )

    try:
        return await attempt()
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        return await attempt()  # a connection kept open had gone stale


async def _chunks(answer: aiohttp.ClientResponse, between_seconds: float) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(between_seconds):
            chunk = await answer.content.readany()
        if not chunk:
            return
        yield chunk


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    if not body:
        return None
    if len(body) > _AIOHTTP_WARNS_ABOVE_BYTES:
        return io.BytesIO(body)  # sent in pieces, so that a large body does not hold up everybody else
    return body
