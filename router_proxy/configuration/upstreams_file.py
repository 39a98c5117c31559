"""upstreams.yaml as values: which LLM servers exist, where, and how long to wait for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from yarl import URL

from router_proxy.errors import ConfigurationInvalid
from router_proxy.request.headers import NEVER_ASKED, OWN_PREFIX
from routing_policy.names import ALIAS
from routing_policy.policy_forms import END_OF_TEXT, HeaderText
from routing_policy.problem import Problem

from .endpoint_url import objection_to_url
from .yaml_files import load_form

EndpointUrl = Annotated[str, msgspec.Meta(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?" + END_OF_TEXT)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=7 * 24 * 3600)]
HeaderName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+" + END_OF_TEXT)]
VariableName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*" + END_OF_TEXT)]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds to wait: to connect, for the answer to begin, between two chunks of it, for all of it."""

    connect: Seconds = 2
    first_byte: Seconds = 120
    between_chunks: Seconds = 60
    total: Seconds = 900


Count = Annotated[int, msgspec.Meta(ge=1)]
_BODIES_MIB = 128


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Per worker. Beyond `in_flight` everybody is answered 503, beyond `in_flight_per_key` that key's holder 429.

    `bodies_mib` bounds the bodies of all requests under way; by default 128, or four of the largest if that is more.
    """

    body_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    bodies_mib: Count | None = None
    in_flight: Count = 2000
    in_flight_per_key: Count | None = None

    @property
    def body_bytes(self) -> int:
        return self.body_mib * 2**20

    @property
    def all_bodies_bytes(self) -> int:
        return (self.bodies_mib or max(_BODIES_MIB, 4 * self.body_mib)) * 2**20


class UpstreamForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One LLM server. `auth: passthrough` forwards the client's Authorization; else only our own key is sent.
    `forward_headers` are those of the client that this server gets beside the usual ones.

    `fallbacks` are other upstreams to try before the first byte, for requests that the router placed here or, with
    `fallbacks_for: all`, also for those that name this model. Without `max_model_len` the server is asked.
    `ca_file` holds the certificates to trust for https endpoints instead of the system's. With `max_in_flight`
    requests under way at one worker, what the router decides to send here goes to the abstain target instead.
    With `affinity: conversation` the turns of a conversation go to the same of several endpoints while that one is not
    much busier than the others; with `none`, to the least busy.
    """

    endpoints: Annotated[list[EndpointUrl], msgspec.Meta(min_length=1)]
    api_key_env: VariableName | None = None
    auth: Literal["own", "passthrough"] = "own"
    forward_headers: tuple[HeaderName, ...] = ()
    fallbacks: tuple[str, ...] = ()
    fallbacks_for: Literal["routed", "all"] = "routed"
    max_model_len: Count | None = None
    max_in_flight: Count | None = None
    affinity: Literal["conversation", "none"] = "conversation"
    modalities: tuple[Literal["text", "image", "audio", "video"], ...] = ("text",)
    tools: bool = True
    ca_file: str | None = None
    timeouts: Timeouts = Timeouts()


class UpstreamsForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the requests that ask for routing, `share` per cent are routed, the same ones every time; the others are the
    control arm and go to the abstain target undecided. `share_by` says what stays in one arm.
    """

    upstreams: Annotated[dict[HeaderText, UpstreamForm], msgspec.Meta(min_length=1)]
    client_keys_env: tuple[VariableName, ...] = ()
    on_classifier_error: Literal["abstain", "reject"] = "abstain"
    limits: Limits = Limits()
    share: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100
    share_by: Literal["conversation", "key"] = "conversation"


def load_upstreams(file: Path) -> UpstreamsForm:
    """Read and check upstreams.yaml; ConfigurationInvalid says what is wrong and where."""
    form = load_form(file, UpstreamsForm)
    problems = [Problem(file=str(file), path=path, reason=reason) for path, reason in _mistakes(form)]
    if problems:
        raise ConfigurationInvalid(*problems)
    return form


def _mistakes(form: UpstreamsForm) -> Iterator[tuple[str, str]]:
    """Yield path and reason of whatever the types alone do not refuse."""
    if ALIAS in form.upstreams:
        yield f"$.upstreams.{ALIAS}", "this name is the alias that asks for routing"
    if form.limits.in_flight_per_key is not None and not form.client_keys_env:
        yield "$.limits.in_flight_per_key", "expected keys in client_keys_env, got none"
    if form.share_by == "key" and not form.client_keys_env:
        yield "$.share_by", "expected keys in client_keys_env for `key`, got none"
    if form.limits.all_bodies_bytes < 2 * form.limits.body_bytes:
        yield "$.limits.bodies_mib", "expected at least twice body_mib"
    for name in form.upstreams:
        yield from _upstream_mistakes(form, name)


def _upstream_mistakes(form: UpstreamsForm, name: str) -> Iterator[tuple[str, str]]:
    upstream, place = form.upstreams[name], f"$.upstreams.{name}"
    if form.client_keys_env and upstream.auth == "passthrough":
        yield f"{place}.auth", "passthrough would give away the key of client_keys_env"
    if upstream.api_key_env and upstream.auth == "passthrough":
        yield place, "expected either api_key_env or auth: passthrough, got both"
    for index, fallback in enumerate(upstream.fallbacks):
        if fallback == name or fallback not in form.upstreams:
            yield f"{place}.fallbacks[{index}]", f"expected the name of another upstream, got {fallback!r}"
    for index, header in enumerate(upstream.forward_headers):
        if header.lower() in NEVER_ASKED or header.lower().startswith(OWN_PREFIX):
            yield f"{place}.forward_headers[{index}]", f"{header} is about one connection or is the proxy's own"
    for index, endpoint in enumerate(upstream.endpoints):
        if reason := objection_to_url(endpoint):
            yield f"{place}.endpoints[{index}]", reason
        elif URL(endpoint).user is not None and (upstream.api_key_env or upstream.auth == "passthrough"):
            other = "api_key_env" if upstream.api_key_env else "auth: passthrough"
            yield f"{place}.endpoints[{index}]", f"expected either {other} or a user in the URL, got both"
