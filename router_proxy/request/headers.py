"""Which headers cross the proxy, in both directions. Pure rules over multi-dictionaries."""

import re
import secrets
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from multidict import CIMultiDict, CIMultiDictProxy

from .modes import MODE_HEADER

REQUEST_ID_HEADER = "x-request-id"
BUDGET_HEADER = "X-Semrouter-Budget-Ms"
OWN_PREFIX = "x-semrouter-"

# RFC 9110 §7.6.1, with the two that RFC 9112 and RFC 9110 §11.7 also make a matter of one connection only.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "cookie"})
# Rewritten here or by the client session: the body may have another length, host and encoding than what arrived.
_REWRITTEN = frozenset({"host", "content-length", "content-encoding", "expect", MODE_HEADER.lower(), REQUEST_ID_HEADER})
_NOT_ASKED = _HOP_BY_HOP | _REWRITTEN
_NOT_ASKED_AS_US = _NOT_ASKED | _CREDENTIALS
_NOT_ANSWERED = _HOP_BY_HOP | {REQUEST_ID_HEADER}
_NOTHING: list[str] = []
_KEEP_ALIVE = ["keep-alive"]  # what most send, and names no header
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_REMEMBERED_TEXTS = 1024  # names of models, labels and classifiers: far fewer
_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


def forwarded_request_headers(arrived: Headers, *, keep_credentials: bool) -> CIMultiDict[str]:
    """Return the client's headers that the upstream may see."""
    return _without(arrived, _NOT_ASKED if keep_credentials else _NOT_ASKED_AS_US)


def forwarded_response_headers(arrived: Headers) -> CIMultiDict[str]:
    """Return the upstream's headers that the client may see; only this proxy speaks for `x-semrouter-*`."""
    return _without(arrived, _NOT_ANSWERED)


def request_id(arrived: str | None) -> str:
    """Accept a client's id when it is short and printable, else make one."""
    if arrived and _REQUEST_ID.fullmatch(arrived):
        return arrived
    return secrets.token_hex(16)


@lru_cache(_REMEMBERED_TEXTS)
def header_text(value: str) -> str:
    """Percent-encode whatever RFC 9110 §5.5 would not carry safely; labels may be in any script."""
    return quote(value, safe=_VISIBLE)


def _named_in(connection: Sequence[str]) -> frozenset[str]:
    return frozenset(name.strip().lower() for value in connection for name in value.split(",") if name.strip())


def _without(arrived: Headers, dropped: frozenset[str]) -> CIMultiDict[str]:
    """Return all but `dropped` and what `Connection` names."""
    kept: CIMultiDict[str] = CIMultiDict()
    connection = arrived.getall("Connection", _NOTHING)
    if connection and connection != _KEEP_ALIVE:
        dropped |= _named_in(connection)
    for name, value in arrived.items():
        lowered = name.lower()
        if lowered not in dropped and not lowered.startswith(OWN_PREFIX):
            kept.add(name, value)
    return kept
