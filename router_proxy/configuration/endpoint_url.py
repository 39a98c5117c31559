"""Whether the URL of an endpoint can be asked at all: found out when a file is loaded, not by the first request."""

from yarl import URL

_LONGEST_HOST = 253  # RFC 1035 §2.3.4


def objection_to_url(endpoint: str) -> str | None:
    """Return why nobody can be reached at `endpoint`, or None; a user and a password in it are not repeated."""
    try:
        url = URL(endpoint)
        host, port = url.host or "", url.port
    except ValueError:
        return f"expected a URL with a host and a port up to 65535, got {without_user(endpoint)}"
    if not _is_host(host):
        return f"expected a host that can be looked up, got {host!r}"
    if not port:
        return f"expected a port from 1 to 65535, got {without_user(endpoint)}"
    if endpoint.rstrip("/").endswith("/v1"):
        return f"expected the URL without /v1, got {without_user(endpoint)}"
    return None


def without_user(endpoint: str) -> str:
    scheme, _, rest = endpoint.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"  # `user:pass/word@host`, too


def _is_host(host: str) -> bool:
    """Whether a resolver would take it: `gpu..team-a` has an empty label, which Python's refuses with an exception."""
    if "%" in host and ":" not in host:  # but for the zone of an IPv6 address
        return False
    try:
        return 0 < len(host.encode("idna")) <= _LONGEST_HOST
    except UnicodeError:
        return False
