"""Who may come in, and how many at once."""

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from router_proxy.record.metrics import Metrics
from router_proxy.upstreams.upstreams import Upstreams

from .errors import ClientUnauthorized, Overloaded, RateLimited

_RETRY_AFTER_SECONDS = 1


class Admission:
    """Counts the requests being answered by this process, in all and for each client key."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._in_flight: Counter[str | None] = Counter()

    @contextmanager
    def admit(self, request: web.Request, upstreams: Upstreams) -> Iterator[None]:
        """Hold a place for `request`, or refuse it at once: a queue here would only hide the overload."""
        client = authorize(request, upstreams.client_keys)
        limits = upstreams.limits
        if self._in_flight.total() >= limits.in_flight:
            raise Overloaded(
                f"{limits.in_flight} requests are being answered already.", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        if limits.in_flight_per_key is not None and self._in_flight[client] >= limits.in_flight_per_key:
            raise RateLimited(
                f"{limits.in_flight_per_key} requests with this key are being answered already.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        self._count(client, 1)
        try:
            yield
        finally:
            self._count(client, -1)

    def _count(self, client: str | None, change: int) -> None:
        self._in_flight[client] += change
        self._metrics.in_flight(self._in_flight.total())


def authorize(request: web.Request, client_keys: Mapping[str, bytes]) -> str | None:
    """Return the name of the key that the request carries, or refuse it; without keys everybody may come in."""
    if not client_keys:
        return None
    offered = _offered_key(request).encode()
    # All are compared, each in constant time, so that an answer's time tells nothing about any of them.
    matches = [name for name, key in client_keys.items() if hmac.compare_digest(offered, key)]
    if not matches:
        raise ClientUnauthorized("Authorization: expected one of this server's client keys.")
    return matches[0]


def _offered_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
