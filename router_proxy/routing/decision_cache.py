"""Decisions already taken on the very same text, by the very same policy and classifier."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from routing_policy.decision import DecisionDocument


class DecisionCache:
    """Exact, bounded and short-lived; empty again as soon as any decision shows another policy or classifier."""

    def __init__(self, *, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._revisions: tuple[str, str] | None = None
        self._entries: OrderedDict[bytes, tuple[float, DecisionDocument]] = OrderedDict()

    def get(self, key: bytes) -> DecisionDocument | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, decision = entry
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return decision

    def put(self, key: bytes, decision: DecisionDocument) -> None:
        self.saw(decision)
        self._entries[key] = (self._clock() + self._seconds, decision)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def saw(self, decision: DecisionDocument) -> None:
        """Note which policy and classifier decide now; what others decided is worth nothing any more."""
        revisions = (decision.policy, decision.classifier.revision)
        if revisions != self._revisions:
            self._entries.clear()
            self._revisions = revisions


def cache_key(text: bytes) -> bytes:
    """Return what stands for a text: 128 bits, so that no prompt is kept."""
    return blake2b(text, digest_size=16).digest()
