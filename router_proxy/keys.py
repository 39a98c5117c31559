"""The typed keys under which the application and a request carry what is ours."""

from aiohttp import web

from .exchange import Exchange
from .gateway import Gateway
from .reloading import LiveGateway
from .upstream_health import UpstreamHealth

LIVE_GATEWAY = web.AppKey("live_gateway", LiveGateway)
HEALTH = web.AppKey("health", UpstreamHealth)
REQUEST_ID = web.RequestKey("request_id", str)
HEADERS_SENT = web.RequestKey("headers_sent", bool)
EXCHANGE = web.RequestKey("exchange", Exchange)


def gateway_of(request: web.Request) -> Gateway:
    """Return the gateway in use now; a handler asks once, so that no reload reaches into its request."""
    return request.app[LIVE_GATEWAY].current
