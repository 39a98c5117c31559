"""The middleware by which each request has a span; it is there only while tracing is on."""

from aiohttp import web
from aiohttp.typedefs import Handler

from .keys import gateway_of

_UNTRACED = frozenset({"/health/live", "/health/ready", "/metrics"})


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path in _UNTRACED:
        return await handler(request)
    with gateway_of(request).tracing.serving(request) as answered:
        response = await handler(request)
        answered(response.status)
        return response
