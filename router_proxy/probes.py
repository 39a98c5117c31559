"""The probes: alive, and ready to answer. A Triton that is down degrades the answers, so it never makes us unready."""

from aiohttp import web

from .gateway import Gateway
from .keys import gateway_of


async def live(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    gateway = gateway_of(request)
    if gateway.routing is None:
        return web.json_response({"status": "ok", "routing": "off"})
    degraded = [] if await gateway.routing.router.probe() else ["triton"]
    if gateway.configuration_error is not None:
        degraded.append("configuration")
    if _abstain_target_is_dead(gateway):
        return web.json_response({"status": "unavailable", "routing": "on", "degraded": degraded}, status=503)
    return web.json_response({"status": "degraded" if degraded else "ok", "routing": "on", "degraded": degraded})


def _abstain_target_is_dead(gateway: Gateway) -> bool:
    return gateway.routing is not None and gateway.upstreams.serving(gateway.routing.policy.abstain.model).is_known_dead
