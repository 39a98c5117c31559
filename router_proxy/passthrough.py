"""Any other path that names a model: forwarded to the upstream that serves it, unrouted and uncounted."""

from aiohttp import web

from .arrival import read_bytes
from .body import read_body
from .delivery import deliver
from .errors import RequestInvalid
from .exchange import Exchange
from .gateway import GATEWAY, REQUEST_ID
from .multipart import multipart_model
from .placement import as_asked

# What vLLM serves outside /v1.
PATHS = ("/tokenize", "/detokenize", "/pooling", "/classify", "/score", "/rerank", "/v2/rerank")


async def pass_on(request: web.Request) -> web.StreamResponse:
    gateway = request.app[GATEWAY]
    raw = await read_bytes(request, gateway.upstreams.body_limit_bytes)
    model = _requested_model(request, raw)
    if model is None:
        raise RequestInvalid("model: expected the name of a model, got none", code="missing_model", param="model")
    upstream = gateway.upstreams.serving(model)
    exchange = Exchange(request_id=request[REQUEST_ID], surface="other")
    return await deliver(request, gateway.session, as_asked(raw, upstream), exchange)


def _requested_model(request: web.Request, raw: bytes) -> str | None:
    if request.content_type.startswith("multipart/"):
        return multipart_model(raw, request.headers["Content-Type"])
    return read_body(raw).model
