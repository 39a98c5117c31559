"""POST /v1/route: the decision a body would get. Nothing is forwarded, nothing is counted, the text is not echoed."""

import msgspec
from aiohttp import web

from .admission import authorize
from .arrival import read_budget_seconds, read_bytes
from .asking import decide
from .errors import RouteUnknown
from .keys import gateway_of
from .surfaces import read_any_ask


async def preview_route(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    authorize(request, gateway.upstreams.client_keys)
    if gateway.routing is None:
        raise RouteUnknown("Routing is off: SEMROUTER_ENABLED is not set on this server.", code="routing_disabled")
    budget_seconds = read_budget_seconds(request, gateway.settings.routing_budget_ms)
    text = read_any_ask(await read_bytes(request, gateway.upstreams.body_limit_bytes), gateway.settings.injected_tags)
    verdict = await decide(gateway.routing, gateway.upstreams, text, budget_seconds)
    answer = {
        "decision": verdict.decision,
        "outcome": verdict.outcome,
        "upstream": verdict.target.model,
        "cache": "hit" if verdict.cached else "miss",
    }
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
