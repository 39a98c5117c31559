"""GET /v1/models: every upstream in the configuration, whether or not it is up, and the alias while routing is on."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from router_proxy.admission import authorize
from router_proxy.errors import RouteUnknown
from router_proxy.gateway import Gateway
from router_proxy.reloading import gateway_of
from routing_policy.names import ALIAS
from routing_policy.policy import policy_targets


async def list_models(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    authorize(request, gateway.upstreams.client_keys)
    names = _names(gateway)
    models = [_model(name, gateway) for name in names]
    pages = {"has_more": False, "first_id": names[0], "last_id": names[-1]}  # what Anthropic's clients turn pages by
    return web.json_response({"object": "list", "data": models, **pages})


async def show_model(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    authorize(request, gateway.upstreams.client_keys)
    name = request.match_info["model"]
    if name not in _names(gateway):
        raise RouteUnknown(f"The model {name!r} does not exist.", code="model_not_found", param="model")
    return web.json_response(_model(name, gateway))


def _names(gateway: Gateway) -> list[str]:
    return [*gateway.upstreams, *([ALIAS] if gateway.routing else [])]


def _model(name: str, gateway: Gateway) -> dict[str, Any]:
    """Return a model as OpenAI's, vLLM's and Anthropic's clients read it: one shape, a superset of the three."""
    created = datetime.fromtimestamp(gateway.started_at, UTC)
    return {
        "id": name,
        "object": "model",
        "created": gateway.started_at,
        "owned_by": "triton-semantic-router",
        "max_model_len": _max_model_len(name, gateway),
        "type": "model",
        "display_name": name,
        "created_at": created.isoformat().replace("+00:00", "Z"),
    }


def _max_model_len(name: str, gateway: Gateway) -> int | None:
    """Return the tokens that a model takes; the alias takes what its roomiest target does, where long requests go."""
    if gateway.routing is None or name != ALIAS:
        return gateway.upstreams.serving(name).abilities.max_tokens
    targets = policy_targets(gateway.routing.policy).values()
    lengths = [gateway.upstreams.serving(target.model).abilities.max_tokens for target in targets]
    return max((length for length in lengths if length is not None), default=None)
