"""Any other path that names a model: forwarded to the upstream that serves it, unrouted and uncounted."""

from aiohttp import web

from router_proxy.admission import authorize
from router_proxy.errors import RequestInvalid, RouteUnknown
from router_proxy.forwarding.delivery import deliver
from router_proxy.gateway import Gateway
from router_proxy.record.exchange import REQUEST_ID, Exchange
from router_proxy.reloading import gateway_of
from router_proxy.request.arrival import read_bytes
from router_proxy.request.body import read_body
from router_proxy.request.forms import form_model
from router_proxy.request.target import check_target
from router_proxy.upstreams.placement import Choice, Plan, as_asked
from router_proxy.upstreams.stored_responses import RESPONSES_PATH, Holder, response_unknown

# What vLLM serves outside /v1.
PATHS = (
    *("/tokenize", "/detokenize", "/pooling", "/classify", "/score", "/rerank", "/v2/rerank", "/v2/embed"),
    *("/generative_scoring", "/inference/v1/generate", "/cohere/v2/chat"),
)

# Below what else is named by an id.
BESIDE_IDS = tuple(f"{RESPONSES_PATH}/{name}" for name in ("compact", "input_tokens"))

# An operator's, not a client's: they load files of the server's.
_CLOSED = frozenset({"/v1/load_lora_adapter", "/v1/unload_lora_adapter"})


async def pass_on(request: web.Request) -> web.StreamResponse:
    gateway = gateway_of(request)
    _check_path(request)
    with gateway.admission.admit(request, gateway.upstreams) as room:
        raw = await read_bytes(
            request, room, limit_bytes=gateway.upstreams.limits.body_bytes, seconds=gateway.settings.body_seconds
        )
        upstream = gateway.upstreams.serving(await _requested_model(request, raw, gateway))
        return await _deliver(request, gateway, as_asked(raw, upstream))


async def pass_on_below_responses(request: web.Request) -> web.StreamResponse:
    """Pass on by its model what is not about one response, to who keeps the one that it goes on from, if any."""
    gateway = gateway_of(request)
    upstreams = gateway.upstreams
    with gateway.admission.admit(request, upstreams) as room:
        raw = await read_bytes(
            request, room, limit_bytes=upstreams.limits.body_bytes, seconds=gateway.settings.body_seconds
        )
        plan = as_asked(raw, upstreams.serving(await _requested_model(request, raw, gateway)))
        client = authorize(request, upstreams.client_keys)
        holder = await gateway.stored.continued(client, raw, upstreams)
        if holder is not None and holder.upstream is plan.choices[0].upstream:
            plan = _kept_by(holder, raw)
        return await _deliver(request, gateway, plan)


async def pass_on_by_id(request: web.Request) -> web.StreamResponse:
    """Pass on what is about one stored response to who keeps it for this client, and to nobody else."""
    gateway = gateway_of(request)
    upstreams = gateway.upstreams
    _check_path(request)
    with gateway.admission.admit(request, upstreams) as room:
        raw = await read_bytes(
            request, room, limit_bytes=upstreams.limits.body_bytes, seconds=gateway.settings.body_seconds
        )
        client = authorize(request, upstreams.client_keys)
        holder = await gateway.stored.find(client, request.match_info["id"], upstreams)
        if holder is None:
            raise response_unknown(request.match_info["id"])
        return await _deliver(request, gateway, _kept_by(holder, raw))


async def _deliver(request: web.Request, gateway: Gateway, plan: Plan) -> web.StreamResponse:
    exchange = Exchange(request_id=request[REQUEST_ID], surface="other")
    try:
        return await deliver(request, gateway.connections, plan, exchange, tracing=gateway.tracing)
    finally:
        gateway.metrics.upstreams_asked(exchange)


def _kept_by(holder: Holder, raw: bytes) -> Plan:
    return Plan(raw=raw, choices=[Choice(upstream=holder.upstream, endpoint=holder.endpoint)])


def _check_path(request: web.Request) -> None:
    check_target(request)
    if request.path.lower() in _CLOSED:
        raise RouteUnknown(f"There is nothing at {request.method} {request.path}.")


async def _requested_model(request: web.Request, raw: bytes, gateway: Gateway) -> str:
    if request.content_type.startswith("multipart/"):
        model = await gateway.scanner.read(form_model, raw, request.headers["Content-Type"])
    else:
        model = (await gateway.scanner.read(read_body, raw)).model
    if model is None:
        raise RequestInvalid("model: expected the name of a model, got none", code="missing_model", param="model")
    return model
