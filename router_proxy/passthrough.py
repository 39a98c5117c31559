"""Any other /v1/* that names a model: forwarded to the upstream that serves it, unrouted and uncounted."""

from aiohttp import web

from .arrival import read_bytes
from .body import read_body
from .errors import RequestInvalid
from .exchange import Exchange
from .gateway import GATEWAY, REQUEST_ID
from .relay import outgoing_json, relay


async def pass_on(request: web.Request) -> web.StreamResponse:
    gateway = request.app[GATEWAY]
    body = read_body(await read_bytes(request, gateway.upstreams.body_limit_bytes))
    if body.model is None:
        raise RequestInvalid("model: expected the name of a model, got none", code="missing_model", param="model")
    upstream = gateway.upstreams.serving(body.model)
    outgoing = outgoing_json(request, upstream, body.raw, request[REQUEST_ID])
    exchange = Exchange(request_id=request[REQUEST_ID], surface="other")
    return await relay(request, gateway.session, upstream, outgoing=outgoing, exchange=exchange)
