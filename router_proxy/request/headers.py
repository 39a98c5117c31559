"""Which headers cross the proxy, in both directions. Pure rules over multi-dictionaries."""

import re
import secrets
from functools import lru_cache
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDict, CIMultiDictProxy

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
# What an upstream gets of a client's headers: how it wants its answer, its client's own API headers, and its trace. All
# else stays here, credentials of any name among it; an upstream's `forward_headers` may add to these.
_ASKED = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "user-agent"),
        *("traceparent", "tracestate", "baggage", "idempotency-key"),
        *("x-data-parallel-rank", "x-session-id"),  # vLLM and routers before it read these
    }
)
_ASKED_PREFIXES = ("anthropic-", "openai-", "x-stainless-")
# No configuration adds these: about one connection, or written here or by the client session.
NEVER_ASKED = _HOP_BY_HOP | {"host", "content-length", "content-encoding", "content-type", "expect", REQUEST_ID_HEADER}
# Of an upstream's: about one connection, ours, or telling its own address, or a browser what only this server may.
_NOT_ANSWERED = _HOP_BY_HOP | {
    REQUEST_ID_HEADER,
    *("location", "set-cookie", "alt-svc", "content-location", "link", "refresh", "strict-transport-security"),
}
_NOT_ANSWERED_PREFIXES = (OWN_PREFIX, "access-control-", "x-forwarded-")
_NOTHING: list[str] = []
_KEEP_ALIVE = ["keep-alive"]  # what most send, and names no header
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_REMEMBERED_NAMES = 256  # of headers; a client may send any
_REMEMBERED_TEXTS = 1024  # names of models, labels and classifiers: far fewer
_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

Headers = CIMultiDict[str] | CIMultiDictProxy[str]


def forwarded_request_headers(
    arrived: Headers, *, also: frozenset[str] = frozenset(), keep_authorization: bool = False
) -> CIMultiDict[str]:
    """Return the client's headers that the upstream may see; `also` names more of them, in small letters."""
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in arrived.items():
        if _is_asked(name) or (also and name.lower() in also):
            kept.add(name, value)
    _drop_those_of_one_connection(kept, arrived)
    if keep_authorization and (authorization := _authorization(arrived)):
        kept["Authorization"] = authorization
    return kept


def proxied_headers(request: web.Request) -> dict[str, str]:
    """Return what tells an upstream who asked whom: the addresses that arrived and the client's own after them."""
    arrived = request.headers
    told = {
        "X-Forwarded-Proto": arrived.get("X-Forwarded-Proto") or request.scheme,
        "X-Forwarded-Host": arrived.get("X-Forwarded-Host") or request.host,
    }
    if request.remote:
        told["X-Forwarded-For"] = ", ".join([*arrived.getall("X-Forwarded-For", _NOTHING), request.remote])
    return told


def forwarded_response_headers(arrived: Headers) -> CIMultiDict[str]:
    """Return the upstream's headers that the client may see; only this proxy speaks for `x-semrouter-*`.

    `Location` is none of them: as an upstream writes it, it may be an address that only this proxy can reach.
    """
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in arrived.items():
        if _is_answered(name):
            kept.add(name, value)
    _drop_those_of_one_connection(kept, arrived)
    return kept


def keep_bytes(writer: AbstractStreamWriter, headers: Headers) -> None:
    """Put bytes that are no UTF-8 back into a head about to be sent: aiohttp reads them, but leaves them out when it
    writes. It has checked the head already, so that nothing in it ends a line.
    """
    if not isinstance(writer, StreamWriter) or "".join(headers.values()).isascii():
        return
    written = writer._headers_buf  # noqa: SLF001 - there is no other place to change it
    if written is not None:
        first_line, _, _ = written.partition(b"\r\n")
        lines = [f"{name}: {value}".encode(errors="surrogateescape") for name, value in headers.items()]
        writer._headers_buf = b"\r\n".join([first_line, *lines, b"", b""])  # noqa: SLF001


def request_id(arrived: str | None) -> str:
    """Accept a client's id when it is short and printable, else make one."""
    if arrived and _REQUEST_ID.fullmatch(arrived):
        return arrived
    return secrets.token_hex(16)


@lru_cache(_REMEMBERED_TEXTS)
def header_text(value: str) -> str:
    """Percent-encode whatever RFC 9110 §5.5 would not carry safely; labels may be in any script."""
    return quote(value, safe=_VISIBLE)


@lru_cache(_REMEMBERED_NAMES)
def _is_asked(name: str) -> bool:
    lowered = name.lower()
    return lowered in _ASKED or lowered.startswith(_ASKED_PREFIXES)


@lru_cache(_REMEMBERED_NAMES)
def _is_answered(name: str) -> bool:
    lowered = name.lower()
    return lowered not in _NOT_ANSWERED and not lowered.startswith(_NOT_ANSWERED_PREFIXES)


def _drop_those_of_one_connection(kept: CIMultiDict[str], arrived: Headers) -> None:
    """Drop what `Connection` names, beside what is never passed on anyway (RFC 9110 §7.6.1)."""
    connection = arrived.getall("Connection", _NOTHING)
    if not connection or connection == _KEEP_ALIVE:
        return
    for value in connection:
        for name in value.split(","):
            kept.popall(name.strip(), None)


def _authorization(arrived: Headers) -> str | None:
    """Return what a client says that it is; Anthropic's say it in a header that vLLM does not read."""
    key = arrived.get("x-api-key")
    return arrived.get("Authorization") or (f"Bearer {key}" if key else None)
