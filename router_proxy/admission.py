"""Who may come in, how many at once, and with how many bytes."""

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from router_proxy.configuration.upstreams_file import Limits
from router_proxy.record.metrics import Metrics
from router_proxy.upstreams.upstreams import Upstreams

from .backlog import Shedding
from .errors import ClientUnauthorized, Overloaded, RateLimited

_RETRY_AFTER_SECONDS = 1
# Each request may have so many without asking, so that large bodies never keep out small ones.
_FREE_BYTES = 2**16


class Admission:
    """Counts the requests being answered by this process and the bytes of their bodies, in all and for each key."""

    def __init__(self, metrics: Metrics, shedding: Shedding) -> None:
        self._metrics = metrics
        self.shedding = shedding
        self._in_flight: Counter[str | None] = Counter()
        self._body_bytes: Counter[str | None] = Counter()

    @contextmanager
    def admit(self, request: web.Request, upstreams: Upstreams) -> Iterator["Place"]:
        """Hold a place for `request`, or refuse it at once: a queue here would only hide the overload."""
        client = authorize(request, upstreams.client_keys)
        limits = upstreams.limits
        if self._in_flight.total() >= limits.in_flight:
            raise Overloaded(
                f"{limits.in_flight} requests are being answered already.", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        if self.shedding.share and self.shedding.refuses(self._in_flight.total()):
            raise Overloaded(
                "More requests come than this server can take in.", retry_after_seconds=_RETRY_AFTER_SECONDS
            )
        if limits.in_flight_per_key is not None and self._in_flight[client] >= limits.in_flight_per_key:
            raise RateLimited(
                f"{limits.in_flight_per_key} requests with this key are being answered already.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        self._count(client, 1)
        place = Place(self._body_bytes, client, limits)
        try:
            yield place
        finally:
            place.leave()
            self._count(client, -1)

    def _count(self, client: str | None, change: int) -> None:
        self._in_flight[client] += change
        self._metrics.in_flight(self._in_flight.total())


class Place:
    """What one admitted request holds: its place, and room for its body, which it has until it ends."""

    def __init__(self, held: Counter[str | None], client: str | None, limits: Limits) -> None:
        self._held = held
        self._client = client
        self._limits = limits
        self._bytes = 0

    def take(self, count: int) -> None:
        """Hold room for so many more bytes, or refuse the request: bodies under way must not take all memory."""
        before = max(self._bytes, _FREE_BYTES)
        self._bytes += count
        if self._bytes > _FREE_BYTES:
            self._hold(self._bytes - before)

    def leave(self) -> None:
        if self._bytes > _FREE_BYTES:
            self._held[self._client] -= self._bytes - _FREE_BYTES

    def _hold(self, count: int) -> None:
        self._held[self._client] += count
        limit = self._limits.all_bodies_bytes
        if self._held.total() > limit:
            raise Overloaded(
                f"The bodies of the requests under way take all of {limit} bytes.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        if self._client is not None and self._held[self._client] > limit // 2:
            raise RateLimited(
                f"The bodies of this key's requests under way take all of its {limit // 2} bytes.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )


def authorize(request: web.Request, client_keys: Mapping[str, bytes]) -> str | None:
    """Return the name of the key that the request carries, or refuse it; without keys everybody may come in."""
    if not client_keys:
        return None
    offered = _offered_key(request).encode(errors="surrogateescape")  # as its bytes were
    # All are compared, each in constant time, so that an answer's time tells nothing about any of them.
    matches = [name for name, key in client_keys.items() if hmac.compare_digest(offered, key)]
    if not matches:
        raise ClientUnauthorized("Authorization: expected one of this server's client keys.")
    return matches[0]


def _offered_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
