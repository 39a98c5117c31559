"""Decisions already taken on the very same text, by the very same policy and classifier."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from routing_policy.decision import DecisionDocument

# Triton's router looks at its policy once a second; what is not seen again by then may be decided otherwise now.
_LOOK_SECONDS = 1.0
_CATCH_UP_SECONDS = 120.0  # a mounted ConfigMap may change later for Triton than for the proxy


class DecisionCache:
    """Exact, bounded and short-lived; empty again as soon as any decision shows another policy or classifier."""

    def __init__(self, *, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._revisions: tuple[str, str] | None = None
        self._entries: OrderedDict[bytes, tuple[float, DecisionDocument]] = OrderedDict()
        self._seen_at = clock()
        self._outdated: str | None = None  # the policy that was replaced here and may still decide in Triton
        self._outdated_until = 0.0

    @property
    def is_due_for_a_look(self) -> bool:
        """Whether no decision has shown for a while which policy and classifier decide now."""
        return self._clock() - self._seen_at > _LOOK_SECONDS

    def look_begins(self) -> None:
        """Note that a decision is being asked for, so that one look at a time is enough."""
        self._seen_at = self._clock()

    def expect(self, policy: str) -> None:
        """Forget what was decided by another policy than `policy`, which has just replaced it."""
        if self._revisions is None or self._revisions[0] == policy:
            return
        self._outdated, self._outdated_until = self._revisions[0], self._clock() + _CATCH_UP_SECONDS
        self._entries.clear()

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
        if self._is_outdated(decision):
            return
        self._entries[key] = (self._clock() + self._seconds, decision)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def saw(self, decision: DecisionDocument) -> None:
        """Note which policy and classifier decide now; what others decided is worth nothing any more."""
        self._seen_at = self._clock()
        revisions = (decision.policy, decision.classifier.revision)
        if revisions != self._revisions:
            self._entries.clear()
            self._revisions = revisions

    def _is_outdated(self, decision: DecisionDocument) -> bool:
        """Whether Triton is about to replace the policy that decided; one that it keeps on purpose has an error."""
        is_old = decision.policy == self._outdated and decision.policy_error is None
        return is_old and self._clock() < self._outdated_until


def cache_key(text: bytes) -> bytes:
    """Return what stands for a text: 128 bits, so that no prompt is kept."""
    return blake2b(text, digest_size=16).digest()
