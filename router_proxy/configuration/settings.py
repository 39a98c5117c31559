"""Every environment variable the proxy reads, with its meaning; docs/reference.md has `settings_table()`."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from router_proxy.errors import ConfigurationInvalid
from router_proxy.request.modes import Mode
from routing_policy.conversation import INJECTED_TAGS
from routing_policy.problem import Problem

_PREFIX = "SEMROUTER_"
_LISTS = frozenset({"SEMROUTER_ALLOWED_MODES", "SEMROUTER_INJECTED_TAGS", "SEMROUTER_CORS_ORIGINS"})


Origin = Annotated[str, msgspec.Meta(pattern=r"^(\*|https?://[^/\s]+)$")]


def _variable(field: str) -> str:
    return _PREFIX + field.upper()


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=_variable):
    """The proxy's environment. Durations are in the unit that ends the name."""

    enabled: Annotated[
        bool,
        msgspec.Meta(
            description="Routing as a whole; off means mode off whatever the header, and no Triton connection."
        ),
    ] = False
    config: Annotated[Path, msgspec.Meta(description="The policy file.")] = Path("configs/semantic-router-binary.yaml")
    upstreams: Annotated[Path, msgspec.Meta(description="The upstreams file.")] = Path("configs/upstreams.yaml")
    default_mode: Annotated[Mode, msgspec.Meta(description="The mode of a request without X-Dynamo-Routing.")] = (
        Mode.OFF
    )
    allowed_modes: Annotated[
        tuple[Mode, ...],
        msgspec.Meta(description="The modes a request may ask for, separated by commas.", min_length=1),
    ] = tuple(Mode)
    triton_url: Annotated[str, msgspec.Meta(description="Host and port of Triton's gRPC endpoint.", min_length=1)] = (
        "localhost:8001"
    )
    triton_ca_file: Annotated[
        Path | None, msgspec.Meta(description="Certificates to trust; with them Triton is asked over TLS.")
    ] = None
    host: Annotated[str, msgspec.Meta(description="The address to listen on.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(description="The port to listen on; 0 picks a free one.", ge=0, le=65535)] = 8999
    routing_budget_ms: Annotated[
        int,
        msgspec.Meta(
            description="How long a request waits for its decision; X-Semrouter-Budget-Ms overrides it.", ge=1, le=2000
        ),
    ] = 250
    routing_in_flight: Annotated[
        int,
        msgspec.Meta(
            description="Decisions asked of Triton at once, at most; fewer where they would come too late.",
            ge=1,
        ),
    ] = 256
    breaker_failures: Annotated[
        int, msgspec.Meta(description="Failed decisions in a row after which Triton is left alone.", ge=1)
    ] = 5
    breaker_pause_seconds: Annotated[
        float, msgspec.Meta(description="How long Triton is left alone before one request tries it again.", gt=0)
    ] = 2.0
    injected_tags: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Blocks in these tags, put into user turns by agents, are not part of the ask."),
    ] = INJECTED_TAGS
    cache_entries: Annotated[
        int, msgspec.Meta(description="Decisions kept for texts that come again; 0 keeps none.", ge=0)
    ] = 10_000
    cache_seconds: Annotated[float, msgspec.Meta(description="How long a decision is kept.", gt=0)] = 300.0
    canaries: Annotated[Path, msgspec.Meta(description="The file of prompts with known answers.")] = Path(
        "configs/canaries.yaml"
    )
    canary_seconds: Annotated[
        float,
        msgspec.Meta(
            description="The pause between two rounds of these prompts, asked by each worker; 0 asks none.", ge=0, le=60
        ),
    ] = 5.0
    connections: Annotated[
        int,
        msgspec.Meta(description="Clients connected to one worker at once; fewer where descriptors are short.", ge=1),
    ] = 10_000
    head_seconds: Annotated[
        float, msgspec.Meta(description="How long a client may take from its first byte to the end of its head.", gt=0)
    ] = 10.0
    idle_seconds: Annotated[
        float, msgspec.Meta(description="How long a connection is kept open between two requests.", gt=0)
    ] = 75.0
    body_seconds: Annotated[
        float, msgspec.Meta(description="How long a client may take to send its request.", gt=0)
    ] = 60.0
    health_interval_seconds: Annotated[
        float, msgspec.Meta(description="The pause between two checks of all upstream endpoints.", gt=0)
    ] = 5.0
    drain_seconds: Annotated[
        float, msgspec.Meta(description="How long requests may go on after SIGTERM before they are cut off.", ge=0)
    ] = 60.0
    ui: Annotated[
        bool, msgspec.Meta(description="The page at /ui, which previews decisions and shows the counters.")
    ] = False
    cors_origins: Annotated[
        tuple[Origin, ...],
        msgspec.Meta(description="Origins whose pages may ask and read answers, separated by commas; * for any."),
    ] = ()
    workers: Annotated[
        int, msgspec.Meta(description="Processes that serve; limits, breakers and caches are per worker.", ge=1, le=64)
    ] = 1
    decision_log: Annotated[
        Path | None, msgspec.Meta(description="A file for the decision log, in JSON lines; it is rotated by size.")
    ] = None
    decision_log_text: Annotated[
        bool, msgspec.Meta(description="Log the text that was judged, too: prompts, in the clear.")
    ] = False
    decision_log_mib: Annotated[
        int, msgspec.Meta(description="How large that file becomes before another is begun.", ge=1)
    ] = 64
    decision_log_files: Annotated[
        int, msgspec.Meta(description="How many of its parts are kept, the one being written included.", ge=2)
    ] = 10
    tracing: Annotated[
        bool, msgspec.Meta(description="OpenTelemetry traces; the standard OTEL_* variables say where to.")
    ] = False
    shadow_queue: Annotated[
        int, msgspec.Meta(description="Shadow decisions that may wait; beyond that they are dropped and counted.", ge=1)
    ] = 1000


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Check the proxy's variables in `environ`; an empty one counts as unset."""
    known = {variable for variable, _, _ in _variables()}
    given: dict[str, Any] = {name: value for name, value in environ.items() if name in known and value}
    for name in _LISTS & given.keys():
        given[name] = [item.strip() for item in given[name].split(",")]
    try:
        settings = msgspec.convert(given, Settings, strict=False, dec_hook=_from_text)
    except msgspec.ValidationError as exc:
        raise _wrong(*_variable_and_reason(exc, given)) from exc
    if settings.default_mode not in settings.allowed_modes:
        reason = f"expected one of SEMROUTER_ALLOWED_MODES, got {settings.default_mode}"
        raise _wrong("SEMROUTER_DEFAULT_MODE", reason)
    if settings.decision_log_text and settings.decision_log is None:
        raise _wrong("SEMROUTER_DECISION_LOG_TEXT", "expected SEMROUTER_DECISION_LOG, too")
    if settings.tracing and importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        raise _wrong("SEMROUTER_TRACING", "expected the packages of pip install 'triton-semantic-router[tracing]'")
    return settings


def _wrong(variable: str, reason: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(Problem(file="environment", path=variable, reason=reason))


def _from_text(kind: type, value: str) -> Any:
    return kind(value)


def read_secret(environ: Mapping[str, str], variable: str, file: Path, path: str) -> str:
    """Return the secret that `file` names at `path` by its variable; the message never holds the value.

    A line break at its end is none of it: `echo KEY | base64`, put into a Kubernetes secret, leaves one.
    """
    secret = environ.get(variable, "").strip()
    if secret and secret.isprintable():
        return secret
    what = "to hold no control characters" if secret else "to be set"
    reason = f"expected the environment variable {variable} {what}"
    raise ConfigurationInvalid(Problem(file=str(file), path=path, reason=reason))


def settings_table() -> str:
    """Return the reference's table of variables as Markdown."""
    rows = [f"| `{variable}` | {default} | {description} |" for variable, default, description in _variables()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _variables() -> list[tuple[str, str, str]]:
    fields = msgspec.inspect.type_info(Settings).fields  # type: ignore[attr-defined]  # a StructType
    return [(field.encode_name, _default(field.default), _description(field.type)) for field in fields]


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value}`"


def _description(kind: Any) -> str:
    return str(kind.extra_json_schema["description"])


def _variable_and_reason(error: msgspec.ValidationError, given: Mapping[str, Any]) -> tuple[str, str]:
    """Turn `Expected `int` - at `$.SEMROUTER_PORT`` into the variable and a reason that shows its value."""
    expectation, _, path = str(error).partition(" - at `$.")
    variable = path.rstrip("`").split("[")[0]
    if "enum" in expectation:
        return variable, f"expected one of {', '.join(Mode)}, got {given[variable]!r}"
    expected = expectation.partition(", got")[0].replace("`", "")
    return variable, f"{expected[:1].lower()}{expected[1:]}, got {given[variable]!r}"
