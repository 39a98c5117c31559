"""POST /v1/route: the decision a body would get. Nothing is forwarded, nothing is counted, the text is not echoed."""

from typing import Any, Literal

import msgspec
from aiohttp import web

from router_proxy.errors import RouteUnknown
from router_proxy.gateway import Gateway, Routing
from router_proxy.outcomes import Outcome
from router_proxy.reloading import gateway_of
from router_proxy.request.arrival import read_budget_seconds, read_bytes
from router_proxy.request.needs import Needs, read_needs, shortfall
from router_proxy.request.surfaces import read_any_ask
from router_proxy.routing.asking import decide
from router_proxy.routing.triton_call import text_to_send
from router_proxy.upstreams.placement import place
from router_proxy.upstreams.upstreams import Upstreams
from routing_policy.decision import DecisionDocument
from routing_policy.explanation import explain
from routing_policy.policy import Policy, policy_targets


class _Uncounted:
    """An AskCounter that keeps previews out of the metrics of real requests."""

    def looked_up(self, result: Literal["hit", "joined", "miss"]) -> None:
        pass

    def classifier_answered(self, milliseconds: float) -> None:
        pass


async def preview_route(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    with gateway.admission.admit(request, gateway.upstreams) as room:
        if gateway.routing is None:
            raise RouteUnknown("Routing is off: SEMROUTER_ENABLED is not set on this server.", code="routing_disabled")
        budget_seconds = read_budget_seconds(request, gateway.settings.routing_budget_ms)
        raw = await read_bytes(
            request, room, limit_bytes=gateway.upstreams.limits.body_bytes, seconds=gateway.settings.body_seconds
        )
        needs = await gateway.scanner.read(read_needs, raw)
        answer = await _decided(raw, needs, gateway, gateway.routing, budget_seconds=budget_seconds)
        if request.query.get("explain") in {"1", "true"}:
            answer |= _explained(needs, answer["decision"], gateway.routing.policy, gateway.upstreams)
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


async def _decided(
    raw: bytes, needs: Needs, gateway: Gateway, routing: Routing, *, budget_seconds: float
) -> dict[str, Any]:
    text = await gateway.scanner.read(read_any_ask, raw, gateway.settings.injected_tags)
    verdict = await decide(
        None if text is None else text_to_send(text),
        routing.router,
        routing.policy,
        gateway.upstreams,
        budget_seconds=budget_seconds,
        counter=_Uncounted(),
    )
    plan = place(
        raw, verdict.target, needs=needs, policy=routing.policy, upstreams=gateway.upstreams, merges_params=False
    )
    return {
        "decision": verdict.decision,
        "outcome": Outcome.CAPPED if plan.is_capped else verdict.outcome,
        "upstream": plan.choices[0].upstream.name,
        "cache": "hit" if verdict.cached else "miss",
    }


def _explained(needs: Needs, decision: DecisionDocument | None, policy: Policy, upstreams: Upstreams) -> dict[str, Any]:
    """Return the rule trace, which only the very policy that decided can give, and what each target lacks."""
    lacking = {
        target.name: shortfall(needs, upstreams.serving(target.model).abilities)
        for target in policy_targets(policy).values()
    }
    decided_here = decision is not None and decision.policy == policy.revision
    return {
        "explanation": explain(policy, decision.scores) if decision and decided_here else None,
        "eligibility": {"needs": needs, "lacking": lacking},
        "policy_here": policy.revision,
    }
