"""The mode table: what the `X-Dynamo-Routing` header and the `model` field together ask for."""

from collections.abc import Collection
from enum import StrEnum

from router_proxy.errors import RequestInvalid
from routing_policy.names import ALIAS

MODE_HEADER = "X-Dynamo-Routing"


class Mode(StrEnum):
    OFF = "off"
    AUTO = "auto"
    SHADOW = "shadow"
    FORCE = "force"


_MODES = {mode.value: mode for mode in Mode}


class Handling(StrEnum):
    """What a mode and a model field come to."""

    OFF = "off"  # forward as asked, no routing at all
    EXPLICIT = "explicit"  # routing is on and the caller named a model: honour it
    SHADOW = "shadow"  # honour the request, decide off its path
    ROUTE = "route"


def read_mode(header: str | None, default: Mode, allowed: Collection[Mode]) -> Mode:
    """Return the mode asked for; an unknown or disallowed one is refused with the allowed ones named."""
    asked = (header or "").strip().lower()
    if not asked:
        return default
    mode = _MODES.get(asked)
    if mode is None or mode not in allowed:
        names = ", ".join(mode for mode in Mode if mode in allowed)
        raise RequestInvalid(
            f"{MODE_HEADER}: expected one of {names}, got {header!r}", code="invalid_routing_mode", param=MODE_HEADER
        )
    return mode


def handling(mode: Mode, requested_model: str | None) -> Handling:
    match mode:
        case Mode.OFF:
            return Handling.OFF
        case Mode.SHADOW:
            return Handling.SHADOW
        case Mode.FORCE:
            return Handling.ROUTE
        case Mode.AUTO:
            return Handling.ROUTE if asks_for_routing(requested_model) else Handling.EXPLICIT


def asks_for_routing(requested_model: str | None) -> bool:
    """Whether the model field leaves the choice to the router: the alias, empty or absent."""
    return not requested_model or requested_model == ALIAS
