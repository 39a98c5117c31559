"""Assembly: the routes, the middlewares, and the one place where errors become answers."""

import logging
from collections.abc import Mapping
from functools import partial

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.typedefs import Handler

from router_proxy.configuration.settings import Settings
from router_proxy.forwarding.relay import cut_off
from router_proxy.other_paths import catalogue, cors, page, passthrough, preview, probes, unknown
from router_proxy.record.decision_headers import decision_headers
from router_proxy.record.exchange import EXCHANGE, REQUEST_ID
from router_proxy.request.arrival import leave_expectation
from router_proxy.request.headers import REQUEST_ID_HEADER, request_id
from router_proxy.request.surfaces import SURFACES, error_format_of
from router_proxy.request.target import nothing_at
from router_proxy.upstreams.stored_responses import RESPONSES_PATH

from . import chat
from .errors import ProxyError, render_error
from .opening import open_gateway
from .reloading import gateway_of, load_configuration

HEADERS_SENT = web.RequestKey("headers_sent", bool)
LOG = logging.getLogger("semrouter.proxy")
_UNTRACED = frozenset({"/health/live", "/health/ready", "/metrics"})
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(settings: Settings, environ: Mapping[str, str]) -> web.Application:
    """Return the proxy; `environ` holds the keys. Files are read here, so a bad one never serves."""
    configuration = load_configuration(settings, environ)
    app = web.Application(
        middlewares=[
            *([trace_requests] if settings.tracing else []),
            answer_errors,
            *([cors.answer_preflights(settings.cors_origins)] if settings.cors_origins else []),
        ],
        handler_args={"auto_decompress": False, "keepalive_timeout": settings.idle_seconds},
    )
    routes = [
        *(web.post(surface.path, partial(chat.answer, surface)) for surface in SURFACES),
        web.get("/v1/models", catalogue.list_models),
        web.get("/v1/models/{model:.+}", catalogue.show_model),
        *(web.post(path, passthrough.pass_on_below_responses) for path in passthrough.BESIDE_IDS),
        *(web.route("*", RESPONSES_PATH + path, passthrough.pass_on_by_id) for path in ("/{id}", "/{id}/{rest:.+}")),
        web.post("/v1/route", preview.preview_route),
        *(web.post(path, passthrough.pass_on) for path in (*passthrough.PATHS, "/v1/{rest:.+}")),
        web.get("/health/live", probes.live),
        web.get("/health/ready", probes.ready),
        web.get("/metrics", show_metrics),
        *([web.get("/ui", page.show_page)] if settings.ui else []),
        web.route("*", "/{path:.*}", unknown.refuse_path),
    ]
    for route in routes:
        route.kwargs["expect_handler"] = leave_expectation
    app.add_routes(routes)
    app.on_response_prepare.append(add_own_headers)
    if settings.cors_origins:
        app.on_response_prepare.append(partial(cors.add_cors_headers, settings.cors_origins))
    app.cleanup_ctx.append(partial(open_gateway, settings, environ, configuration))
    return app


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give each request a span; only there while tracing is on."""
    if request.path in _UNTRACED:
        return await handler(request)
    with gateway_of(request).tracing.serving(request) as answered:
        response = await handler(request)
        answered(response.status)
        return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and turn what was raised into an answer in the caller's own format."""
    request[REQUEST_ID] = request_id(request.headers.get(REQUEST_ID_HEADER))
    try:
        return await handler(request)
    except ProxyError as error:
        return _error_response(error, request)
    except web.HTTPNotFound:  # of the targets `*` and host:port, which no route can match
        return _error_response(nothing_at(request), request)
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
    response.headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or request_id(None)
    if exchange := request.get(EXCHANGE):
        response.headers.update(decision_headers(exchange))


async def show_metrics(request: web.Request) -> web.Response:
    return web.Response(body=gateway_of(request).metrics.render(), headers={"Content-Type": _METRICS_TYPE})


def _error_response(error: ProxyError, request: web.Request) -> web.Response:
    return web.Response(
        status=error.status,
        body=render_error(error, error_format_of(request.path)),
        content_type="application/json",
        headers=error.headers,
    )
