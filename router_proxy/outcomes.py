"""How a request on a routed surface ended, as far as routing goes: exactly one of these each."""

from enum import StrEnum


class Outcome(StrEnum):
    ROUTED = "routed"
    ABSTAINED = "abstained"
    EXPLICIT = "explicit"
    OFF = "off"
    SHADOW = "shadow"
    NO_TEXT = "no_text"
    FAILOPEN_TIMEOUT = "failopen_timeout"
    FAILOPEN_ERROR = "failopen_error"
    FAILOPEN_OVERLOAD = "failopen_overload"
    REJECTED = "rejected"
    INVALID = "invalid"
