"""The probes: alive, and ready to answer. A Triton that is down degrades the answers, so it never makes us unready."""

from aiohttp import web

from router_proxy.gateway import Gateway
from router_proxy.reloading import gateway_of


async def live(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    degraded = await _degraded(gateway)
    is_ready = not _abstain_target_is_dead(gateway)
    body = {
        "status": ("degraded" if degraded else "ok") if is_ready else "unavailable",
        "routing": "on" if gateway.routing else "off",
        "degraded": degraded,
        "upstreams": {name: _health(gateway, name) for name in gateway.upstreams},
    }
    return web.json_response(body, status=200 if is_ready else 503)


async def _degraded(gateway: Gateway) -> list[str]:
    degraded = []
    if gateway.routing is not None and not await gateway.routing.router.probe():
        degraded.append("triton")
    if gateway.routing is not None and gateway.routing.canaries is not None and gateway.routing.canaries.failure:
        degraded.append("canaries")
    if gateway.configuration_error is not None:
        degraded.append("configuration")
    return degraded


def _health(gateway: Gateway, upstream: str) -> str:
    return "down" if gateway.upstreams.serving(upstream).is_known_dead else "up"


def _abstain_target_is_dead(gateway: Gateway) -> bool:
    return gateway.routing is not None and _health(gateway, gateway.routing.policy.abstain.model) == "down"
