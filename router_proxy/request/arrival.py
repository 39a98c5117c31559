"""Taking a request in: its id, its bytes within the limit, its budget."""

import asyncio

from aiohttp import web

from router_proxy.errors import BodyTimedOut, BodyTooLarge, RequestInvalid

from .headers import BUDGET_HEADER

_LONGEST_BUDGET_MS = 2000


async def read_bytes(request: web.Request, *, limit_bytes: int, seconds: float) -> bytes:
    """Return the whole body; one over the limit is refused as soon as that shows, one that stalls in due time."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        if request.content.is_eof():  # as of all but large bodies: nothing to wait for
            body = request.content.read_nowait()
        else:
            async with asyncio.timeout(seconds):
                body = await _read_within(request, limit_bytes)
    except TimeoutError as exc:
        raise BodyTimedOut(f"body: not here within {seconds:g} s") from exc
    except web.RequestPayloadError as exc:
        raise RequestInvalid(f"body: {exc}", code="invalid_body") from exc
    if len(body) > limit_bytes:
        raise _too_large(limit_bytes)
    return body


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


async def _read_within(request: web.Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            break
    return bytes(body)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"body: expected at most {limit_bytes} bytes")
