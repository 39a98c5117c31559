"""Who may come in, and how many at once."""

import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from .errors import ClientUnauthorized, Overloaded
from .metrics import Metrics

_RETRY_AFTER_SECONDS = 1


class Admission:
    """Counts the requests being answered by this process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._in_flight = 0

    @contextmanager
    def one_of(self, limit: int) -> Iterator[None]:
        """Hold one of `limit` places, or refuse at once: a queue here would only hide the overload."""
        if self._in_flight >= limit:
            raise Overloaded(f"{limit} requests are being answered already.", retry_after_seconds=_RETRY_AFTER_SECONDS)
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight(self._in_flight)


def authorize(request: web.Request, client_keys: Sequence[bytes]) -> None:
    """Refuse a request without one of the keys; without keys everybody may come in."""
    if not client_keys:
        return
    offered = _offered_key(request).encode()
    # All are compared, each in constant time, so that an answer's time tells nothing about any of them.
    matches = [hmac.compare_digest(offered, key) for key in client_keys]
    if not any(matches):
        raise ClientUnauthorized("Authorization: expected one of this server's client keys.")


def _offered_key(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
