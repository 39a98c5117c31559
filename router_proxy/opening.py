"""What opens and closes with the application: everything that the handlers share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path

from aiohttp import web

from router_proxy.background.canaries import Canaries
from router_proxy.background.shadow import Shadow
from router_proxy.background.upstream_health import HEALTH, UpstreamHealth
from router_proxy.configuration.canaries_file import CanariesForm
from router_proxy.configuration.settings import Settings
from router_proxy.record.decision_log import DecisionLog, open_decision_log
from router_proxy.record.metrics import DIRECTORY_VARIABLE, Metrics
from router_proxy.record.tracing import NoTracing, Tracing
from router_proxy.request.scanning import Scanner
from router_proxy.routing.decision_cache import DecisionCache
from router_proxy.routing.router_client import RouterClient
from router_proxy.upstreams.breaker import Breaker
from router_proxy.upstreams.connections import Connections
from router_proxy.upstreams.response_memory import ResponseMemory
from router_proxy.upstreams.stored_responses import StoredResponses

from .admission import Admission
from .backlog import Backlog
from .gateway import Gateway, Routing
from .reloading import LIVE_GATEWAY, Configuration, LiveGateway

_RESPONSES_FILE = "stored_responses.sqlite"  # beside the metrics of workers, whose files end in .db


async def open_gateway(
    settings: Settings, environ: Mapping[str, str], configuration: Configuration, app: web.Application
) -> AsyncIterator[None]:
    """Open what the handlers share, and close it when the application ends."""
    metrics = Metrics(environ.get(DIRECTORY_VARIABLE))
    metrics.routing_budget(settings.routing_budget_ms / 1000 if settings.enabled else 0)
    async with AsyncExitStack() as opened:
        decision_log = open_decision_log(settings, metrics)
        opened.push_async_callback(decision_log.close)
        scanner = Scanner()
        opened.callback(scanner.close)
        tracing = _open_tracing(settings)
        opened.push_async_callback(asyncio.to_thread, tracing.close)
        connections = Connections()
        opened.push_async_callback(connections.close)
        backlog = Backlog()
        opened.push_async_callback(backlog.close)
        memory = opened.enter_context(closing(ResponseMemory(_shared_file(environ))))
        live = LiveGateway(
            Gateway(
                settings=settings,
                upstreams=configuration.upstreams,
                connections=connections,
                metrics=metrics,
                scanner=scanner,
                admission=Admission(metrics, backlog.shedding),
                decision_log=decision_log,
                tracing=tracing,
                stored=StoredResponses(connections.pooled, memory),
                routing=_open_routing(
                    settings, configuration, opened, metrics=metrics, decision_log=decision_log, tracing=tracing
                ),
            ),
            environ,
            configuration.contents,
        )
        opened.push_async_callback(live.close)
        health = UpstreamHealth(
            connections.fresh,
            lambda: live.current.upstreams,
            metrics,
            interval_seconds=settings.health_interval_seconds,
        )
        opened.push_async_callback(health.close)
        app[LIVE_GATEWAY], app[HEALTH] = live, health
        yield


def _shared_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the workers of one parent keep what each must know; None for a process that serves alone."""
    directory = environ.get(DIRECTORY_VARIABLE)
    return Path(directory) / _RESPONSES_FILE if directory else None


def _open_tracing(settings: Settings) -> Tracing:
    if not settings.tracing:
        return NoTracing()
    from router_proxy.record.opentelemetry_tracing import OpenTelemetryTracing

    return OpenTelemetryTracing()


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
        budget_seconds=settings.routing_budget_ms / 1000,
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
