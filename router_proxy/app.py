"""Assembly: the routes, what opens and closes with the application, and the one place where errors become answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial

import aiohttp
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler

from . import catalogue, chat, page, passthrough, preview, probes
from .admission import Admission
from .breaker import Breaker
from .canaries import Canaries
from .canaries_file import CanariesForm
from .configuration import Configuration, load_configuration
from .decision_cache import DecisionCache
from .decision_log import DecisionLog, open_decision_log
from .errors import MethodUnknown, ProxyError, RouteUnknown, render_error
from .gateway import Gateway, Routing
from .headers import REQUEST_ID_HEADER, request_id
from .keys import EXCHANGE, HEADERS_SENT, HEALTH, LIVE_GATEWAY, REQUEST_ID, gateway_of
from .metrics import DIRECTORY_VARIABLE, Metrics
from .relay import SKIP_AUTO_HEADERS, cut_off
from .reloading import LiveGateway
from .request_spans import trace_requests
from .router_client import RouterClient
from .settings import Settings
from .shadow import Shadow
from .stored_responses import RESPONSES_PATH, StoredResponses
from .surfaces import SURFACES, error_format_of
from .tracing import Tracing, open_tracing
from .upstream_health import UpstreamHealth

LOG = logging.getLogger("semrouter.proxy")
# Below uvicorn's 5 s, so that vLLM never closes a connection just as the next request goes out on it.
_KEEPALIVE_SECONDS = 4
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(settings: Settings, environ: Mapping[str, str]) -> web.Application:
    """Return the proxy; `environ` holds the keys. Files are read here, so a bad one never serves."""
    configuration = load_configuration(settings, environ)
    app = web.Application(middlewares=[*([trace_requests] if settings.tracing else []), answer_errors])
    app.add_routes(
        [
            *(web.post(surface.path, partial(chat.answer, surface)) for surface in SURFACES),
            web.get("/v1/models", catalogue.list_models),
            web.get("/v1/models/{model:.+}", catalogue.show_model),
            *(
                web.route("*", RESPONSES_PATH + path, passthrough.pass_on_by_id)
                for path in ("/{id}", "/{id}/{rest:.+}")
            ),
            web.post("/v1/route", preview.preview_route),
            *(web.post(path, passthrough.pass_on) for path in (*passthrough.PATHS, "/v1/{rest:.+}")),
            web.get("/health/live", probes.live),
            web.get("/health/ready", probes.ready),
            web.get("/metrics", show_metrics),
            *([web.get("/ui", page.show_page)] if settings.ui else []),
        ]
    )
    app.on_response_prepare.append(add_own_headers)
    app.cleanup_ctx.append(partial(open_gateway, settings, environ, configuration))
    return app


async def open_gateway(
    settings: Settings, environ: Mapping[str, str], configuration: Configuration, app: web.Application
) -> AsyncIterator[None]:
    """Open what the handlers share, and close it when the application ends."""
    metrics = Metrics(environ.get(DIRECTORY_VARIABLE))
    metrics.routing_budget(settings.routing_budget_ms / 1000 if settings.enabled else 0)
    async with AsyncExitStack() as opened:
        decision_log = open_decision_log(settings, metrics)
        opened.push_async_callback(decision_log.close)
        tracing = open_tracing(settings)
        opened.push_async_callback(asyncio.to_thread, tracing.close)
        session = await opened.enter_async_context(_client_session())
        live = LiveGateway(
            Gateway(
                settings=settings,
                upstreams=configuration.upstreams,
                session=session,
                metrics=metrics,
                admission=Admission(metrics),
                decision_log=decision_log,
                tracing=tracing,
                stored=StoredResponses(session),
                routing=_open_routing(
                    settings, configuration, opened, metrics=metrics, decision_log=decision_log, tracing=tracing
                ),
            ),
            environ,
            configuration.contents,
        )
        opened.push_async_callback(live.close)
        health = UpstreamHealth(
            session, lambda: live.current.upstreams, metrics, interval_seconds=settings.health_interval_seconds
        )
        opened.push_async_callback(health.close)
        app[LIVE_GATEWAY], app[HEALTH] = live, health
        yield


def _client_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
        auto_decompress=False,
        skip_auto_headers=SKIP_AUTO_HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _open_routing(
    settings: Settings,
    configuration: Configuration,
    opened: AsyncExitStack,
    *,
    metrics: Metrics,
    decision_log: DecisionLog,
    tracing: Tracing,
) -> Routing | None:
    if configuration.policy is None:
        return None
    cache = DecisionCache(limit=settings.cache_entries, seconds=settings.cache_seconds)
    router = RouterClient(
        settings.triton_url,
        ca_file=settings.triton_ca_file,
        breaker=Breaker(failures=settings.breaker_failures, pause_seconds=settings.breaker_pause_seconds),
        cache=cache if settings.cache_entries else None,
        in_flight_limit=settings.routing_in_flight,
        metrics=metrics,
        tracing=tracing,
    )
    opened.push_async_callback(router.close)
    shadow = Shadow(
        router,
        metrics,
        decision_log,
        tracing=tracing,
        queue_limit=settings.shadow_queue,
        budget_seconds=settings.routing_budget_ms / 1000,
    )
    opened.push_async_callback(shadow.close)
    canaries = _open_canaries(settings, configuration.canaries, router, metrics)
    if canaries is not None:
        opened.push_async_callback(canaries.close)
    return Routing(policy=configuration.policy, router=router, shadow=shadow, canaries=canaries)


def _open_canaries(
    settings: Settings, form: CanariesForm | None, router: RouterClient, metrics: Metrics
) -> Canaries | None:
    if form is None:
        return None
    return Canaries(
        router,
        metrics,
        form,
        interval_seconds=settings.canary_seconds,
        limit_seconds=settings.routing_budget_ms / 1000,
    )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and turn what was raised into an answer in the caller's own format."""
    request[REQUEST_ID] = request_id(request.headers.get(REQUEST_ID_HEADER))
    try:
        return await handler(request)
    except ProxyError as error:
        return _error_response(error, request)
    except web.HTTPException as error:
        return _error_response(_from_aiohttp(error, request), request)
    except Exception:
        LOG.exception("request %s failed", request[REQUEST_ID])
        if request.get(HEADERS_SENT):
            cut_off(request)
            raise
        return _error_response(ProxyError("The proxy failed on this request; its log has the details."), request)


async def add_own_headers(request: web.Request, response: web.StreamResponse) -> None:
    request[HEADERS_SENT] = True
    if response.headers.get("Server") == SERVER_SOFTWARE:
        del response.headers["Server"]  # an upstream's own passes; which library we use is nobody's business
    response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
    if exchange := request.get(EXCHANGE):
        response.headers.update(exchange.headers())


async def show_metrics(request: web.Request) -> web.Response:
    return web.Response(body=gateway_of(request).metrics.render(), headers={"Content-Type": _METRICS_TYPE})


def _error_response(error: ProxyError, request: web.Request) -> web.Response:
    response = web.Response(
        status=error.status,
        body=render_error(error, error_format_of(request.path)),
        content_type="application/json",
    )
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _from_aiohttp(error: web.HTTPException, request: web.Request) -> ProxyError:
    """Say in our words what aiohttp's router refused: an unknown path, or a method the path does not have."""
    if error.status == web.HTTPMethodNotAllowed.status_code:
        return MethodUnknown(f"{request.method} is not allowed on {request.path}.")
    return RouteUnknown(f"There is nothing at {request.method} {request.path}.")
