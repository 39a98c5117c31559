"""Taking a request in: its id, its bytes within the limit, its budget."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from aiohttp import HttpVersion11, hdrs, web

from router_proxy.errors import BodyTimedOut, BodyTooLarge, ExpectationUnknown, RequestInvalid

from .headers import BUDGET_HEADER
from .unpacking import coding_of, unpacked

_LONGEST_BUDGET_MS = 2000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and Windows shells write one before JSON, where it has no meaning
_PIECES_AT_ONCE = 4
_PIECES_IN_A_THREAD = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Room(Protocol):
    """The memory that a request's body may take."""

    def take(self, count: int) -> None:
        """Hold so many more bytes, or refuse the request."""


async def leave_expectation(_: web.Request) -> None:
    """Send nothing yet to who waits for 100 Continue: aiohttp would before the request is admitted."""


async def read_bytes(request: web.Request, room: Room, *, limit_bytes: int, seconds: float) -> bytes:
    """Return the whole body, unpacked, once its request is admitted.

    One over the limit is refused as soon as that shows, one that stalls in due time.
    """
    encodings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    coding = coding_of(", ".join(encodings)) if encodings else None
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    if expectations := request.headers.getall(hdrs.EXPECT, ()):
        await _meet(", ".join(expectations), request)
    try:
        if request.content.is_eof():  # as of all but large bodies: nothing to wait for
            body = request.content.read_nowait()
            room.take(len(body))
        else:
            async with asyncio.timeout(seconds):
                body = await _read_within(request, room, limit_bytes)
    except TimeoutError as exc:
        raise BodyTimedOut(f"body: not here within {seconds:g} s") from exc
    except web.RequestPayloadError as exc:
        raise RequestInvalid(
            "body: expected as many bytes as its Content-Length, or whole chunks (RFC 9112 §7.1)", code="invalid_body"
        ) from exc
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    if coding is not None and body:
        body = await _unpack(body, coding, room, limit_bytes)
    return body.removeprefix(_BYTE_ORDER_MARK)


def read_budget_seconds(request: web.Request, default_ms: int) -> float:
    """Return how long this request may wait for its decision."""
    header = request.headers.get(BUDGET_HEADER)
    if header is None:
        return default_ms / 1000
    if header.isascii() and header.isdigit() and 1 <= int(header) <= _LONGEST_BUDGET_MS:
        return int(header) / 1000
    raise RequestInvalid(
        f"{BUDGET_HEADER}: expected whole milliseconds from 1 to {_LONGEST_BUDGET_MS}, got {header!r}",
        code="invalid_budget",
        param=BUDGET_HEADER,
    )


async def _meet(expectation: str, request: web.Request) -> None:
    """Ask for the body of a client that waits to be asked (RFC 9110 §10.1.1)."""
    if expectation.lower() != "100-continue":
        raise ExpectationUnknown("Expect: expected 100-continue or nothing")
    if request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # so that what comes next counts as the beginning of the answer


async def _unpack(packed: bytes, coding: str, room: Room, limit_bytes: int) -> bytes:
    """Unpack the first pieces at once, which is all of most bodies, and the others in a thread."""
    pieces = unpacked(packed, coding, limit_bytes)
    body = list(islice(pieces, _PIECES_AT_ONCE))
    batch = body
    room.take(sum(map(len, batch)))
    while len(body) >= _PIECES_AT_ONCE and batch:
        batch = await asyncio.to_thread(_next_pieces, pieces)
        room.take(sum(map(len, batch)))
        body += batch
    return b"".join(body)


def _next_pieces(pieces: Iterator[bytes]) -> list[bytes]:
    return list(islice(pieces, _PIECES_IN_A_THREAD))


async def _read_within(request: web.Request, room: Room, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        room.take(len(chunk))
        body += chunk
        if len(body) > limit_bytes:
            break
    return bytes(body)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"body: expected at most {limit_bytes} bytes")
