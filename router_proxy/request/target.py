"""What a request's target may look like to be sent on: a plain path, written in one way only.

Whatever else a server or a proxy before it might take for a routed path, or for none of a client's business, is
refused here with the path that was meant: an upstream never sees it.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from aiohttp import web

from router_proxy.errors import RouteUnknown

from .surfaces import SURFACES

# No `.` first, so neither `.` nor `..`; none of the characters that servers read in ways of their own.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_ROUTED = {surface.path for surface in SURFACES}
_BASE = "/v1"
_TIMES_ENCODED = 3  # as often as a path may be percent-encoded and still be understood


def check_target(request: web.Request) -> None:
    """Refuse a path that is not plain, or that differs from a routed one only in how it is written."""
    written = request.rel_url.raw_path
    meant = _simplified(written)
    if meant != written or (meant.lower() in _ROUTED and meant not in _ROUTED) or not _PLAIN.fullmatch(written):
        raise nothing_at(request)


def nothing_at(request: web.Request, known: Iterable[str] = ()) -> RouteUnknown:
    """Return the refusal of a path at which there is nothing, with the one that was most likely meant."""
    written = request.rel_url.raw_path
    meant = _simplified(written)
    served = {path.lower(): path for path in (*_ROUTED, *known)}
    found = served.get(meant.lower()) or served.get(_BASE + meant.lower())
    if found is None and meant.startswith(_BASE + "/") and _PLAIN.fullmatch(meant):
        found = meant
    hint = f" Did you mean {found}?" if found and found != written else ""
    return RouteUnknown(f"There is nothing at {request.method} {request.path}.{hint}")


def _simplified(path: str) -> str:
    """Return `path` decoded, without empty and dot segments, and with one /v1 where there are several."""
    for _ in range(_TIMES_ENCODED):
        path = unquote(path)
    kept: list[str] = []
    for segment in path.replace("\\", "/").split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in {"", "."} and not (segment == "v1" and kept == ["v1"]):
            kept.append(segment)
    return "/" + "/".join(kept)
