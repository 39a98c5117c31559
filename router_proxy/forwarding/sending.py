"""One request to one endpoint, until its answer begins; the one seam where what goes wrong on the way becomes ours."""

import asyncio
import io
import logging
from http import HTTPStatus

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from router_proxy.errors import UpstreamTimedOut, UpstreamUnreachable
from router_proxy.record.exchange import REQUEST_ID
from router_proxy.request.headers import REQUEST_ID_HEADER, forwarded_request_headers, proxied_headers
from router_proxy.upstreams.connections import Connections, Line, begin_line, current_line
from router_proxy.upstreams.upstreams import Endpoint, Upstream

LOG = logging.getLogger("semrouter.upstreams")
_JSON = "application/json"
_AIOHTTP_WARNS_ABOVE_BYTES = 2**20


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request as its upstream will see it."""

    method: str
    path: str
    query: str
    headers: CIMultiDict[str]
    body: bytes | None


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of which the first bytes are here; `first` is empty where it has no body.

    `line` is the connection whose close is to end the answer, None where the answer says its length itself.
    """

    response: aiohttp.ClientResponse
    first: bytes
    ends_at: float  # on the loop's clock, whether it is whole by then or not
    line: Line | None = None

    @property
    def was_cut(self) -> bool:
        """Whether the end that has come is a reset instead of the close that would make the answer whole."""
        return self.line is not None and self.line.was_reset


def outgoing_request(request: web.Request, upstream: Upstream, endpoint: Endpoint, body: bytes) -> Outgoing:
    """Return `request` with `body`, cleaned for `endpoint`; vLLM refuses JSON under any other content type.

    Of the request's target path and query go on: a client may name a scheme and a host, too (RFC 9112 §3.2.2).
    """
    headers = forwarded_request_headers(
        request.headers, also=upstream.forward_headers, keep_authorization=upstream.keeps_authorization
    )
    headers.update(proxied_headers(request))
    headers.update(upstream.own_headers(endpoint))
    is_form = request.content_type.startswith("multipart/")
    headers["Content-Type"] = request.headers["Content-Type"] if is_form else _JSON
    headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
    query = request.rel_url.raw_query_string
    return Outgoing(method=request.method, path=request.path, query=query, headers=headers, body=body)


async def send(connections: Connections, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing) -> Begun:
    """Return the answer once its first byte is here.

    Whatever it is, this endpoint could not be asked: another may, and the next request is not to suffer.
    """
    timeouts = upstream.timeouts
    ends_at = asyncio.get_running_loop().time() + timeouts.total
    try:
        async with asyncio.timeout(min(timeouts.first_byte, timeouts.total)):
            response = await _answered(connections, upstream, endpoint, outgoing)
            first = await _first_bytes(response)
            _check_is_final(response)
    except Exception as exc:
        endpoint.failed(was_late=isinstance(exc, TimeoutError) and not isinstance(exc, aiohttp.ClientError))
        _note_surprise(exc, upstream)
        raise _failure(upstream, exc) from exc
    endpoint.answered(response.status)
    line = current_line() if _ends_by_close(response) else None
    return Begun(response=response, first=first, ends_at=ends_at, line=line)


async def _answered(
    connections: Connections, upstream: Upstream, endpoint: Endpoint, outgoing: Outgoing
) -> aiohttp.ClientResponse:
    """Return the answer's head. What cannot have been worked on is sent once more, over a fresh connection."""
    url = endpoint.url_for(outgoing.path, outgoing.query)
    begin_line()
    try:
        return await _request(connections.pooled, url, upstream, outgoing)
    except aiohttp.ClientConnectionError as exc:
        line = current_line()
        if line is None:
            connections.forget_address(url)
        if not (_met_a_closing_line(exc, line) if line else _may_have_moved(exc, endpoint)):
            raise
    return await _request(connections.fresh, url, upstream, outgoing)


def _met_a_closing_line(error: aiohttp.ClientConnectionError, line: Line) -> bool:
    """Whether a connection in use before was closed before a byte came: most likely for having idled too long."""
    began = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
    return line.was_used and not began


def _may_have_moved(error: aiohttp.ClientConnectionError, endpoint: Endpoint) -> bool:
    """Whether the endpoint's name may by now stand for another address than the one that refused."""
    return endpoint.has_name and isinstance(error, aiohttp.ClientConnectorError)


async def _request(
    session: aiohttp.ClientSession, url: URL, upstream: Upstream, outgoing: Outgoing
) -> aiohttp.ClientResponse:
    return await session.request(
        outgoing.method,
        url,
        data=_payload(outgoing.body),
        headers=outgoing.headers,
        allow_redirects=False,
        ssl=upstream.trust,
        timeout=upstream.connect_timeout,
    )


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readany()
    except BaseException:  # cancelled, too: from here on nobody else closes it
        response.close()
        raise


def _check_is_final(response: aiohttp.ClientResponse) -> None:
    """Refuse a switch of protocols (RFC 9110 §15.2.2), which no upstream is asked for."""
    if response.status < HTTPStatus.OK:
        response.close()
        raise aiohttp.ClientPayloadError


def _ends_by_close(response: aiohttp.ClientResponse) -> bool:
    """Whether nothing but the end of the connection says where the answer ends (RFC 9112 §6.3)."""
    return "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers


def _note_surprise(error: Exception, upstream: Upstream) -> None:
    """Log what no network does; by its kind only, as its words may hold a key."""
    if not isinstance(error, (aiohttp.ClientError, TimeoutError, OSError)):
        LOG.error("%s cannot be asked: %s", upstream.name, type(error).__name__)


def _failure(upstream: Upstream, error: Exception) -> UpstreamUnreachable | UpstreamTimedOut:
    match error:
        case aiohttp.ConnectionTimeoutError():
            return UpstreamUnreachable(f"{upstream.name}: no connection within {upstream.timeouts.connect:g} s")
        case TimeoutError():
            return UpstreamTimedOut(f"{upstream.name}: no answer within {upstream.timeouts.first_byte:g} s")
        case _:
            return UpstreamUnreachable(f"{upstream.name}: {type(error).__name__}")


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    if not body:
        return None
    if len(body) > _AIOHTTP_WARNS_ABOVE_BYTES:
        return io.BytesIO(body)  # sent in pieces, so that a large body does not hold up everybody else
    return body
