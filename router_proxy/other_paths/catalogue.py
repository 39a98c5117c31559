"""GET /v1/models: every upstream in the configuration, whether or not it is up, and the alias while routing is on."""

from typing import Any

from aiohttp import web

from router_proxy.admission import authorize
from router_proxy.errors import RouteUnknown
from router_proxy.gateway import Gateway
from router_proxy.reloading import gateway_of
from routing_policy.policy_file import ALIAS


async def list_models(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    authorize(request, gateway.upstreams.client_keys)
    return web.json_response({"object": "list", "data": [_model(name, gateway) for name in _names(gateway)]})


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
    return {"id": name, "object": "model", "created": gateway.started_at, "owned_by": "triton-semantic-router"}
