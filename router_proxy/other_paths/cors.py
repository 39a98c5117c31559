"""Letting pages of other origins read answers, where SEMROUTER_CORS_ORIGINS names them (https://fetch.spec.whatwg.org)."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_ANY = "*"
_METHODS = "GET, POST, DELETE"
_REMEMBERED_SECONDS = 600


def answer_preflights(origins: Sequence[str]) -> Middleware:
    """Return the middleware that answers a browser asking whether a page of `origins` may ask."""
    return web.middleware(partial(_answer_preflight, origins))


async def add_cors_headers(origins: Sequence[str], request: web.Request, response: web.StreamResponse) -> None:
    """Let the page that asked read the answer, an error too; without credentials of the browser's own."""
    if allowed := _allowed(origins, request):
        response.headers.update(allowed)
        response.headers.add("Vary", "Origin")


async def _answer_preflight(origins: Sequence[str], request: web.Request, handler: Handler) -> web.StreamResponse:
    asks = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or asks is None or not _allowed(origins, request):
        return await handler(request)
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": str(_REMEMBERED_SECONDS),
    }
    return web.Response(status=204, headers=headers)


def _allowed(origins: Sequence[str], request: web.Request) -> dict[str, str]:
    origin = request.headers.get("Origin")
    if origin is None or not {origin, _ANY} & set(origins):
        return {}
    allowed = _ANY if _ANY in origins else origin
    return {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": _ANY}
