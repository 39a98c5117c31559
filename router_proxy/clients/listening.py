"""Serving an application on connections that are limited in number: descriptors must be left for the upstreams."""

import resource
from typing import Any

from aiohttp import web

from router_proxy.configuration.settings import Settings
from router_proxy.record.metrics import Metrics
from router_proxy.reloading import LIVE_GATEWAY

from .connection import Connection

# For the socket listened on, files, Triton, health checks and whatever a library opens.
_DESCRIPTORS_OF_OUR_OWN = 64
# A request needs one from its client and one to its upstream, and as many may rest idle at another upstream.
_DESCRIPTORS_PER_CONNECTION = 3
_FEWEST = 8
_CLOSED_AT_ONCE = 32
_PAUSE_SECONDS = 0.1  # before looking for idle connections again where there were none
_EXPLAINED_AT_ONCE = 32  # clients without room that are told so; beyond it they are closed without a word


class ClientRunner(web.AppRunner):
    """aiohttp's runner, on connections of our own."""

    def __init__(self, app: web.Application, settings: Settings, **runner_settings: Any) -> None:
        super().__init__(app, **runner_settings)
        self._settings = settings

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return ClientServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            head_seconds=self._settings.head_seconds,
            limit=connections_that_fit(self._settings.connections),
            metrics=self.app[LIVE_GATEWAY].current.metrics,
            **made._kwargs,  # noqa: SLF001 - what aiohttp made of its own settings and those of the application
        )


class ClientServer(web.Server):
    """Makes a `Connection` for each client, and is their gate: the longest idle make room for new ones."""

    def __init__(self, handler: Any, *, head_seconds: float, limit: int, metrics: Metrics, **settings: Any) -> None:
        super().__init__(handler, **settings)
        self._head_seconds = head_seconds
        self._limit = limit
        self._metrics = metrics
        self._room_made = 0
        self._look_again_at = 0.0
        self._explaining = 0

    def __call__(self) -> web.RequestHandler:
        return Connection(self, gate=self, head_seconds=self._head_seconds, loop=self._loop, **self._kwargs)

    def has_room(self) -> bool:
        if len(self._connections) < self._limit:
            self._room_made = 0
            return True
        if not self._room_made:
            self._room_made = self._close_idle()
        self._room_made -= 1
        if self._room_made >= 0:
            return True
        self._room_made = 0
        return False

    def may_explain(self) -> bool:
        if self._explaining >= _EXPLAINED_AT_ONCE:
            return False
        self._explaining += 1
        return True

    def ended(self, reason: str) -> None:
        self._metrics.connection_ended(reason)

    def explained(self) -> None:
        self._explaining -= 1

    def _close_idle(self) -> int:
        """Close those that have been idle longest, several at a time, so that all are looked through but rarely."""
        now = self._loop.time()
        if now < self._look_again_at:
            return 0
        idle = [each for each in self._connections if isinstance(each, Connection) and each.is_idle]
        idle.sort(key=lambda each: each.rests_until)
        if not idle:
            self._look_again_at = now + _PAUSE_SECONDS
        for each in idle[:_CLOSED_AT_ONCE]:
            each.make_room()
        return len(idle[:_CLOSED_AT_ONCE])


def raise_descriptor_limit() -> None:
    """Take as many descriptors as this process may: the usual 1024 are for programs that use select(2)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def connections_that_fit(wanted: int) -> int:
    """Return how many clients may be connected, so that descriptors are left for as many upstreams."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(_FEWEST, (descriptors - _DESCRIPTORS_OF_OUR_OWN) // _DESCRIPTORS_PER_CONNECTION))
