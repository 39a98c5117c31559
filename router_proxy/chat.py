"""The story of one request on a routed surface: parse → ask → choose → forward → record."""

import msgspec
from aiohttp import web

from router_proxy.forwarding.beginning import readable
from router_proxy.forwarding.delivery import deliver
from router_proxy.record.exchange import EXCHANGE, REQUEST_ID, UNKNOWN_MODEL, Exchange
from router_proxy.request.arrival import read_budget_seconds, read_bytes
from router_proxy.request.body import JsonBody, read_body
from router_proxy.request.conversation_key import conversation_key
from router_proxy.request.modes import MODE_HEADER, Handling, Mode, asks_for_routing, handling, read_mode
from router_proxy.request.needs import read_needs
from router_proxy.request.share import WHOLE, Arm, arm_of
from router_proxy.request.surfaces import Surface
from router_proxy.routing.asking import decide
from router_proxy.routing.triton_call import text_to_send
from router_proxy.upstreams.placement import Plan, as_asked, as_named, continued, place
from router_proxy.upstreams.stored_responses import Holder
from router_proxy.upstreams.upstreams import Upstream
from routing_policy.names import ALIAS
from routing_policy.policy import Target

from .admission import Place, authorize
from .errors import ProxyError, RequestInvalid, RouteUnknown
from .gateway import Gateway
from .outcomes import Outcome
from .reloading import gateway_of


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A request understood: its body, what to do with it, and how long its decision may take."""

    body: JsonBody
    handling: Handling
    budget_seconds: float
    holder: Holder | None = None  # who keeps the answer that this request goes on from
    arm: Arm | None = None  # None where all are routed


async def answer(surface: Surface, request: web.Request) -> web.StreamResponse:
    """Answer one request on `surface`; whatever happens, it is recorded exactly once."""
    gateway = gateway_of(request)
    exchange = request[EXCHANGE] = Exchange(request_id=request[REQUEST_ID], surface=surface.name)
    try:
        with gateway.admission.admit(request, gateway.upstreams) as room:
            incoming = await parse(request, room, gateway, surface, exchange=exchange)
            target = await ask(gateway, surface, incoming, exchange)
            plan = await choose(gateway, surface, incoming, target=target, exchange=exchange)
            return await forward(request, gateway, surface, plan=plan, exchange=exchange)
    except ProxyError as error:
        exchange.note_refusal(error)
        raise
    finally:
        record(gateway, exchange)


async def parse(
    request: web.Request, room: Place, gateway: Gateway, surface: Surface, *, exchange: Exchange
) -> Incoming:
    settings = gateway.settings
    if gateway.routing is None:
        mode = Mode.OFF
    else:
        mode = read_mode(request.headers.get(MODE_HEADER), settings.default_mode, settings.allowed_modes)
    exchange.mode = mode
    if request.content_type.startswith("multipart/"):
        raise RequestInvalid("Content-Type: expected JSON, got a form", code="invalid_body")
    budget_seconds = read_budget_seconds(request, settings.routing_budget_ms)
    limits = gateway.upstreams.limits
    raw = await read_bytes(request, room, limit_bytes=limits.body_bytes, seconds=settings.body_seconds)
    body = await gateway.scanner.read(read_body, raw)
    exchange.requested_model = exchange.target = _loggable(body.model, gateway)
    handled = handling(mode, body.model)
    is_shared = handled is Handling.ROUTE and gateway.upstreams.share < WHOLE
    return Incoming(
        body=body,
        handling=handled,
        budget_seconds=budget_seconds,
        holder=await _holder(request, gateway, body) if surface.goes_on else None,
        arm=_arm(request, gateway, body) if is_shared else None,
    )


async def ask(gateway: Gateway, surface: Surface, incoming: Incoming, exchange: Exchange) -> Target | None:
    """Return the target the router chose, or None where the caller's own choice stands."""
    routing = gateway.routing
    if routing is None or incoming.handling in {Handling.OFF, Handling.EXPLICIT}:
        exchange.outcome = Outcome(incoming.handling)
        return None
    if incoming.holder is not None and incoming.handling is Handling.ROUTE:
        exchange.outcome = Outcome.EXPLICIT  # the earlier answer has named the server already
        return None
    exchange.arm = incoming.arm
    if incoming.arm == "control":
        exchange.outcome, exchange.target = Outcome.CONTROL, routing.policy.abstain.name
        return routing.policy.abstain
    text = await gateway.scanner.read(surface.read_ask, incoming.body.raw, gateway.settings.injected_tags)
    exchange.text = None if text is None else text_to_send(text)
    if incoming.handling is Handling.SHADOW:
        exchange.outcome = Outcome.SHADOW
        return routing.policy.abstain if asks_for_routing(incoming.body.model) else None
    asked = exchange.elapsed_seconds()
    with gateway.tracing.deciding(exchange):
        verdict = await decide(
            exchange.text,
            routing.router,
            routing.policy,
            gateway.upstreams,
            budget_seconds=incoming.budget_seconds,
            counter=gateway.metrics,
        )
        exchange.route_seconds = exchange.elapsed_seconds() - asked
        exchange.note_verdict(verdict)
    return verdict.target


async def choose(
    gateway: Gateway, surface: Surface, incoming: Incoming, *, target: Target | None, exchange: Exchange
) -> Plan:
    """Return where the request may go, best first; only what the router placed may move from where it was sent."""
    raw, upstreams, routing = incoming.body.raw, gateway.upstreams, gateway.routing
    if incoming.holder is not None:
        return continued(raw, incoming.holder.upstream, incoming.holder.endpoint)
    if target is None or routing is None:
        upstream = _upstream_asked_for(gateway, incoming.body.model)
        if not upstream.may_be_replaced:
            return as_asked(raw, upstream)
        return as_named(raw, upstream, upstreams, needs=await gateway.scanner.read(read_needs, raw))
    needs = await gateway.scanner.read(read_needs, raw)
    plan = place(
        raw, target, needs=needs, policy=routing.policy, upstreams=upstreams, merges_params=surface.merges_params
    )
    if plan.lacking is not None:
        exchange.note_moved(plan.choices[0], plan.lacking)
    if plan.is_capped:
        exchange.note_capped(plan.choices[0])
    return plan


async def forward(
    request: web.Request, gateway: Gateway, surface: Surface, *, plan: Plan, exchange: Exchange
) -> web.StreamResponse:
    response = await deliver(request, gateway.connections, plan, exchange, tracing=gateway.tracing)
    if surface.goes_on and exchange.answered_at is not None and exchange.upstream_result == "2xx":
        client = authorize(request, gateway.upstreams.client_keys)
        head = readable(exchange.answer_head, response.headers)
        gateway.stored.passed(client, head, *exchange.answered_at)
    return response


def record(gateway: Gateway, exchange: Exchange) -> None:
    exchange.total_seconds = exchange.elapsed_seconds()
    if exchange.decision is not None:
        gateway.metrics.decided(exchange.decision, "enforce")
    gateway.metrics.request_ended(exchange)
    if gateway.routing is not None and exchange.outcome is Outcome.SHADOW:
        gateway.routing.shadow.submit(exchange)
    else:
        gateway.decision_log.write(exchange)


def _arm(request: web.Request, gateway: Gateway, body: JsonBody) -> Arm:
    upstreams = gateway.upstreams
    client = authorize(request, upstreams.client_keys) if upstreams.shares_by_key else None
    kept_together = client.encode() if client else conversation_key(request.headers, body.raw)
    return arm_of(kept_together, upstreams.share)


def _loggable(model: str | None, gateway: Gateway) -> str | None:
    """Return the model's name where it is one of ours: any other may be whatever a client wrote."""
    return model if model is None or model == ALIAS or model in gateway.upstreams else UNKNOWN_MODEL


async def _holder(request: web.Request, gateway: Gateway, body: JsonBody) -> Holder | None:
    """Return who keeps the answer gone on from, unless the caller names another model."""
    client = authorize(request, gateway.upstreams.client_keys)
    holder = await gateway.stored.continued(client, body.raw, gateway.upstreams)
    if holder is None or asks_for_routing(body.model) or body.model == holder.upstream.name:
        return holder
    return None


def _upstream_asked_for(gateway: Gateway, model: str | None) -> Upstream:
    if model is None:
        raise RequestInvalid("model: expected the name of a model, got none", code="missing_model", param="model")
    if model == ALIAS:
        remedy = (
            f"send the header {MODE_HEADER}: auto" if gateway.routing else "SEMROUTER_ENABLED is not set on this server"
        )
        raise RouteUnknown(
            f"The model {ALIAS!r} asks for routing, which is off: {remedy}.", code="model_not_found", param="model"
        )
    return gateway.upstreams.serving(model)
