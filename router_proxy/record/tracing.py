"""Where spans begin and end, whoever records them. Without SEMROUTER_TRACING nobody does, and nothing is imported."""

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from aiohttp import web

from router_proxy.upstreams.placement import Choice
from router_proxy.upstreams.upstreams import Endpoint

from .exchange import Exchange

Answered = Callable[[int], None]


class Tracing(Protocol):
    """Spans read what they say from the exchange when they end; never the text."""

    def serving(self, request: web.Request) -> AbstractContextManager[Answered]:
        """Span a request from its arrival, and yield what notes the status of its answer."""

    def deciding(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Span the routing decision of `exchange`."""

    def asking(self, choice: Choice, endpoint: Endpoint, exchange: Exchange) -> AbstractContextManager[None]:
        """Span one attempt at an upstream, until its answer is passed on."""

    def carry(self, headers: MutableMapping[str, str]) -> None:
        """Write into `headers` which span what is sent with them belongs to."""

    def close(self) -> None:
        """Send what waits to be sent."""


class NoTracing:
    def serving(self, _request: web.Request) -> AbstractContextManager[Answered]:
        return nullcontext(_ignore)

    def deciding(self, _exchange: Exchange) -> AbstractContextManager[None]:
        return nullcontext()

    def asking(self, _choice: Choice, _endpoint: Endpoint, _exchange: Exchange) -> AbstractContextManager[None]:
        return nullcontext()

    def carry(self, headers: MutableMapping[str, str]) -> None:
        pass

    def close(self) -> None:
        pass


def _ignore(_status: int) -> None:
    pass
