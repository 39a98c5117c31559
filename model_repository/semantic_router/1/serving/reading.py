"""What a classifier makes of a text, and what it may raise instead."""

import time
from typing import Protocol

import msgspec

from routing_policy.decision import ClassifierRef

# Triton's words; through BLS every error code arrives as INTERNAL (release 24.10), so only the message tells.
_NOT_READY = ("is not ready", "is not at ready state", "unknown model")
_OVERLOADED = ("Exceeds maximum queue size", "Request timeout expired")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a classifier made of one text. Times are wall time of this text's tokenizing and of its batch's call."""

    scores: dict[str, float]
    classifier: ClassifierRef
    tokens_seen: int | None
    tokens_total: int | None
    truncated: bool
    tokenize_us: int
    classify_us: int


class ClassifierCallFailed(Exception):
    """The classifier answered with an error; the message is Triton's own."""

    @property
    def is_not_ready(self) -> bool:
        return any(phrase in str(self) for phrase in _NOT_READY)

    @property
    def is_unavailable(self) -> bool:
        """Whether the same call may work at another moment."""
        return self.is_not_ready or any(phrase in str(self) for phrase in _OVERLOADED)


class Classifier(Protocol):
    @property
    def labels(self) -> list[str]: ...

    @property
    def start_log(self) -> list[str]: ...

    @property
    def state(self) -> dict[str, str]: ...

    def refresh(self) -> None: ...

    def classify(self, texts: list[str]) -> list[Reading | ClassifierCallFailed]: ...


def microseconds_since(started_ns: int) -> int:
    return (time.perf_counter_ns() - started_ns) // 1000
