"""How a request on a routed surface ended, as far as routing goes: exactly one of these each."""

from enum import StrEnum

import msgspec

from routing_policy.decision import DecisionDocument
from routing_policy.policy import Target


class Outcome(StrEnum):
    ROUTED = "routed"
    ABSTAINED = "abstained"
    EXPLICIT = "explicit"
    OFF = "off"
    SHADOW = "shadow"
    CONTROL = "control"
    NO_TEXT = "no_text"
    FAILOPEN_TIMEOUT = "failopen_timeout"
    FAILOPEN_ERROR = "failopen_error"
    FAILOPEN_OVERLOAD = "failopen_overload"
    CAPPED = "capped"
    REJECTED = "rejected"
    INVALID = "invalid"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes and which outcome that is; `decision` is None where none was taken."""

    outcome: Outcome
    target: Target
    decision: DecisionDocument | None = None
    cached: bool = False  # the decision cost no inference of its own
