"""The LLM servers while the proxy runs: which endpoint takes the next request, and which are left alone."""

import math
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import aiohttp
from yarl import URL

from router_proxy.configuration.settings import read_secret
from router_proxy.configuration.upstreams_file import Timeouts, UpstreamForm, UpstreamsForm
from router_proxy.errors import ConfigurationInvalid, RouteUnknown
from router_proxy.request.needs import Abilities
from routing_policy.errors import FileInvalid
from routing_policy.problem import Problem
from routing_policy.yaml_document import read_file

from .breaker import Breaker

_FAILURES_IN_A_ROW = 5
_PAUSE_SECONDS = 2.0
LOAD_FACTOR = 1.25  # how much more than its share of the requests under way an endpoint may have
# A server, or what stands before it, answers so when it can serve nobody; a 500 or 504 may be about one request.
_ABOUT_THE_ENDPOINT = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})


class Endpoint:
    """One URL of an upstream, with the requests it is working on. `is_down` and `max_model_len` come from checks.

    `url` is as configured and may hold a password; `place` is what anybody may read. `breaker` counts failures that are
    about the endpoint alone, `doubts` also those that may be about one request.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        configured = URL(url)
        self._base = configured.with_user(None)
        self._base_path = self._base.raw_path.rstrip("/")
        self.place = str(self._base)
        self._hash_key = blake2b(self.place.encode(), digest_size=32).digest()
        self.has_name = not _is_address(configured.host or "")
        self.own_headers = _basic_authorization(configured)
        self.outstanding = 0
        self.last_begun = 0.0
        self.breaker = Breaker(failures=_FAILURES_IN_A_ROW, pause_seconds=_PAUSE_SECONDS)
        self.doubts = Breaker(failures=_FAILURES_IN_A_ROW, pause_seconds=_PAUSE_SECONDS)
        self.is_down = False
        self.was_slow = False
        self.max_model_len: int | None = None

    @property
    def is_in_order(self) -> bool:
        return not self.is_down and not self.breaker.is_open

    @property
    def rank(self) -> tuple[bool, bool, bool, int, float]:
        """Sort the endpoints of a model by this: which of them are in trouble, then the least outstanding."""
        return (*self.troubles, self.outstanding, self.last_begun)

    @property
    def troubles(self) -> tuple[bool, bool, bool]:
        return (self.is_down, not self.breaker.would_admit, not self.doubts.would_admit)

    def distance(self, conversation: bytes) -> int:
        """Return how far a conversation is from this endpoint, a number that only the two of them decide.

        The nearest endpoint takes it, so one that comes or goes moves only its own share (rendezvous hashing, Thaler
        and Ravishankar 1998).
        """
        return int.from_bytes(blake2b(conversation, key=self._hash_key, digest_size=8).digest())

    @property
    def would_be_asked(self) -> bool:
        return not self.is_down or self.breaker.would_admit

    def is_to_be_asked(self) -> bool:
        """Whether to ask it now. No client's requests take an endpoint away while our own checks find it up."""
        self.doubts.admits()
        return self.breaker.admits() or not self.is_down

    def answered(self, status: int) -> None:
        """Note an answer; of the 5xx only some say that nobody would have got a better one."""
        _note(self.breaker, failed=status in _ABOUT_THE_ENDPOINT)
        _note(self.doubts, failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    def failed(self, *, was_late: bool) -> None:
        """Note that no answer came; a late one may be one that takes long."""
        self.doubts.failed()
        if not was_late:
            self.breaker.failed()

    def url_for(self, path: str, query: str = "") -> URL:
        """Return where `path` lies on this endpoint; neither it nor `query` can name another host."""
        base = self._base
        return URL.build(
            scheme=base.scheme,
            authority=base.raw_authority,
            path=self._base_path + path,
            query_string=query,
            encoded=True,
        )

    def path_here(self, location: str) -> str | None:
        """Return where a `Location` of this endpoint lies on this proxy, without host; None where it lies elsewhere."""
        try:
            url = URL(location, encoded=True)
            is_elsewhere = url.raw_authority != "" and url.origin() != self._base.origin()
        except ValueError:
            return None
        path = url.raw_path.removeprefix(self._base_path)
        if is_elsewhere or not path.startswith("/") or path.startswith("//") or "\\" in path:
            return None
        return path + (f"?{url.raw_query_string}" if url.raw_query_string else "")

    @contextmanager
    def working(self) -> Iterator[None]:
        self.outstanding += 1
        self.last_begun = time.monotonic()
        try:
            yield
        finally:
            self.outstanding -= 1


class Upstream:
    """An LLM server under the model name it serves."""

    def __init__(
        self,
        name: str,
        form: UpstreamForm,
        *,
        api_key: str | None,
        endpoints: Sequence[Endpoint],
        trust: ssl.SSLContext | None,
    ) -> None:
        self.name = name
        self.endpoints = endpoints
        self.timeouts: Timeouts = form.timeouts
        self.connect_timeout = aiohttp.ClientTimeout(connect=form.timeouts.connect)
        self.fallbacks = tuple(form.fallbacks)
        self.may_be_replaced = form.fallbacks_for == "all" and bool(form.fallbacks)
        self.keeps_authorization = form.auth == "passthrough"
        self.forward_headers = frozenset(name.lower() for name in form.forward_headers)
        self._own_headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self.trust: ssl.SSLContext | bool = trust or True  # True: what the system trusts
        self._form = form
        self._modalities = frozenset(form.modalities)

    @property
    def is_full(self) -> bool:
        """Whether as many requests are under way here as the router may bring it to."""
        limit = self._form.max_in_flight
        return limit is not None and sum(endpoint.outstanding for endpoint in self.endpoints) >= limit

    @property
    def is_known_dead(self) -> bool:
        """Whether no endpoint answers its checks; what becomes of clients' requests does not make it so."""
        return all(endpoint.is_down for endpoint in self.endpoints)

    @property
    def abilities(self) -> Abilities:
        """What this upstream can take, its context length as configured or else as its endpoints say."""
        reported = [each.max_model_len for each in self.endpoints if each.max_model_len is not None]
        return Abilities(
            modalities=self._modalities,
            tools=self._form.tools,
            max_tokens=self._form.max_model_len or min(reported, default=None),
        )

    def own_headers(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Return the headers that speak for this proxy at one of the endpoints."""
        return self._own_headers or endpoint.own_headers

    @property
    def keeps_conversations(self) -> bool:
        """Whether it matters to which endpoint a conversation goes."""
        return len(self.endpoints) > 1 and self._form.affinity == "conversation"

    def ranked_endpoints(self, conversation: bytes | None = None) -> Sequence[Endpoint]:
        """Return the endpoints in the order to try them: those in order first.

        Without a conversation the least busy is first. With one it is the nearest that has less than 1.25 times its
        share of the requests under way (Mirrokni et al., Consistent Hashing with Bounded Loads, 2018).
        """
        if len(self.endpoints) == 1:
            return self.endpoints
        if conversation is None:
            return sorted(self.endpoints, key=lambda each: each.rank)
        usable = [each for each in self.endpoints if each.is_in_order] or self.endpoints
        share = (sum(each.outstanding for each in usable) + 1) / len(usable)
        most = math.ceil(LOAD_FACTOR * share)

        def place(endpoint: Endpoint) -> tuple[tuple[bool, bool, bool], int, int]:
            excess = max(endpoint.outstanding + 1 - most, 0)
            return endpoint.troubles, excess, endpoint.distance(conversation)

        return sorted(self.endpoints, key=place)


class Upstreams:
    """Every configured upstream by name."""

    def __init__(
        self, form: UpstreamsForm, environ: Mapping[str, str], file: Path, previous: "Upstreams | None" = None
    ) -> None:
        known = previous.endpoints_by_place() if previous else {}
        self._by_name = {
            name: Upstream(
                name,
                upstream,
                api_key=_api_key(name, upstream, environ, file),
                trust=_trust(name, upstream, file),
                endpoints=[known.get((name, url)) or Endpoint(url) for url in upstream.endpoints],
            )
            for name, upstream in form.upstreams.items()
        }
        self.client_keys = {
            variable: read_secret(environ, variable, file, "$.client_keys_env").encode()
            for variable in form.client_keys_env
        }
        self.limits = form.limits
        self.share = form.share
        self.shares_by_key = form.share_by == "key"
        self.rejects_on_classifier_error = form.on_classifier_error == "reject"

    def endpoints_by_place(self) -> dict[tuple[str, str], Endpoint]:
        return {
            (upstream.name, endpoint.url): endpoint
            for upstream in self._by_name.values()
            for endpoint in upstream.endpoints
        }

    def __contains__(self, model: str) -> bool:
        return model in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def serving(self, model: str) -> Upstream:
        if upstream := self._by_name.get(model):
            return upstream
        raise RouteUnknown(f"The model {model!r} does not exist.", code="model_not_found", param="model")


def _basic_authorization(url: URL) -> dict[str, str]:
    """Return what a URL with user and password asks to be sent (RFC 7617); a key of the upstream's goes before it."""
    if url.user is None:
        return {}
    credentials = b64encode(f"{url.user}:{url.password or ''}".encode())
    return {"Authorization": f"Basic {credentials.decode()}"}


def _note(breaker: Breaker, *, failed: bool) -> None:
    if failed:
        breaker.failed()
    else:
        breaker.succeeded()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _trust(name: str, form: UpstreamForm, file: Path) -> ssl.SSLContext | None:
    if form.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cadata=read_file(Path(form.ca_file)).decode("ascii"))
    except (FileInvalid, OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        reason = f"expected certificates in {form.ca_file}: {exc}"
        problem = Problem(file=str(file), path=f"$.upstreams.{name}.ca_file", reason=reason)
        raise ConfigurationInvalid(problem) from exc


def _api_key(name: str, form: UpstreamForm, environ: Mapping[str, str], file: Path) -> str | None:
    if form.api_key_env is None:
        return None
    return read_secret(environ, form.api_key_env, file, f"$.upstreams.{name}.api_key_env")
