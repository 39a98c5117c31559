"""Every metric of the proxy by name. The first two are the guide's, exactly; ours are `semrouter_*` in base units."""

import math
from collections.abc import Callable
from functools import cache
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from routing_policy.decision import DecisionDocument

from .exchange import Exchange

# prometheus_client reads this one itself, when it is imported; workers find it set by their parent.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_TRANSPORT = "http"
# Binary confidence begins at 0.5; most decisions lie close to 1.
CONFIDENCE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class _Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric is called, means and is split by; `across` says how workers' gauges make one."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Literal["livesum", "livemax", "livemin"] = "livemax"


_DECISIONS = _Metric(
    name="semantic_route_decisions_total",
    meaning="Routing decisions taken.",
    labels=("route", "target", "rationale", "winner", "transport"),
)
_LATENCY = _Metric(
    name="semantic_classifier_latency_ms",
    meaning="Round trip to Triton for one decision, failed ones included, in milliseconds.",
    labels=("transport",),
    buckets=(0.5, 1, 2.5, 5, 10, 20, 50, 100, 250, 500, 1000, 2500),
)
_REQUESTS = _Metric(
    name="semrouter_requests_total",
    meaning="Requests on routed surfaces by how they ended; each counts once.",
    labels=("surface", "mode", "outcome", "upstream"),
)
_FIRST_BYTE = _Metric(
    name="semrouter_first_byte_seconds",
    meaning="From a request's arrival to the first byte of its answer.",
    labels=("surface",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
_SHADOW = _Metric(
    name="semrouter_shadow_total",
    meaning="Shadow requests by result: agree or differ with the model served, no_text, failed, dropped.",
    labels=("result",),
)
_SHADOW_TOKENS = _Metric(
    name="semrouter_shadow_tokens_total",
    meaning="Tokens of shadow requests by the target decided on, the upstream that served them, and kind.",
    labels=("target", "served_by", "kind"),
)
_USAGE_UNKNOWN = _Metric(
    name="semrouter_shadow_usage_unknown_total", meaning="Shadow requests whose answer stated no usage."
)
_CONFIDENCE = _Metric(
    name="semrouter_decision_confidence",
    meaning="Confidence of the routing decisions taken, by the label that decided.",
    labels=("winner",),
    buckets=CONFIDENCE_BOUNDS,
)
_CACHE = _Metric(
    name="semrouter_cache_total",
    meaning="Texts looked up in the decision cache: hit, joined (decided together with the same text), miss.",
    labels=("result",),
)
_UPSTREAM = _Metric(
    name="semrouter_upstream_requests_total",
    meaning="Attempts at an upstream by result: 2xx, 3xx, 4xx, 5xx, unreachable, timed_out, aborted, cancelled.",
    labels=("upstream", "result"),
)
_ENDPOINT_UP = _Metric(
    name="semrouter_endpoint_up",
    meaning="1 while an endpoint answers its checks and its breaker is closed; NaN once it is not configured any more.",
    labels=("upstream", "endpoint"),
    across="livemin",
)
_CANARY_ROUNDS = _Metric(
    name="semrouter_canary_rounds_total",
    meaning="Rounds of canaries by result: right, wrong (another label than known), failed (no decision).",
    labels=("result",),
)
_HEALTHY = _Metric(
    name="semrouter_classifier_healthy",
    meaning="1 while each canary gets its known answer (any, where none is known for the classifier); 0 until then.",
    across="livemin",
)
_BUDGET = _Metric(
    name="semrouter_routing_budget_seconds",
    meaning="How long a request waits for its decision unless it says otherwise; 0 while routing is off.",
)
_POLICY_ERROR = _Metric(
    name="semrouter_policy_error", meaning="1 while Triton decides by an older policy because it refused its file."
)
_LOG_DROPPED = _Metric(
    name="semrouter_decision_log_dropped_total",
    meaning="Lines missing from the decision log: queue_full (the disk is too slow), not_written (it refused).",
    labels=("reason",),
)
_FAILING = _Metric(name="semrouter_router_failing", meaning="1 while Triton is left alone after failures in a row.")
_WORKERS = _Metric(name="semrouter_workers", meaning="Processes that answer requests.", across="livesum")
_IN_FLIGHT = _Metric(name="semrouter_in_flight_requests", meaning="Requests being answered.", across="livesum")
_REFUSED = _Metric(name="semrouter_configuration_refused", meaning="1 while the files are not the ones in use.")

_COUNTERS = (
    _DECISIONS,
    _REQUESTS,
    _UPSTREAM,
    _CACHE,
    _CANARY_ROUNDS,
    _SHADOW,
    _SHADOW_TOKENS,
    _USAGE_UNKNOWN,
    _LOG_DROPPED,
)
_HISTOGRAMS = (_LATENCY, _CONFIDENCE, _FIRST_BYTE)
_GAUGES = (_HEALTHY, _BUDGET, _FAILING, _POLICY_ERROR, _REFUSED, _ENDPOINT_UP, _WORKERS, _IN_FLIGHT)


def metrics_table() -> str:
    """Return README's table of metrics as Markdown."""
    kinds = (("counter", _COUNTERS), ("histogram", _HISTOGRAMS), ("gauge", _GAUGES))
    rows = [
        f"| `{metric.name}` | {kind} | {', '.join(metric.labels)} | {metric.meaning} |"
        for kind, metrics in kinds
        for metric in metrics
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])


class Metrics:
    """One registry per application, so that several can live in one process.

    With `workers_directory` the values are those of all workers that share it.
    """

    def __init__(self, workers_directory: str | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a process-wide switch; registries have none
        registry = self._registry = CollectorRegistry()
        self._workers_directory = workers_directory
        self._counters = {
            each.name: Counter(each.name, each.meaning, each.labels, registry=registry) for each in _COUNTERS
        }
        self._histograms = {
            each.name: Histogram(each.name, each.meaning, each.labels, buckets=each.buckets, registry=registry)
            for each in _HISTOGRAMS
        }
        self._gauges = {
            each.name: Gauge(each.name, each.meaning, each.labels, multiprocess_mode=each.across, registry=registry)
            for each in _GAUGES
        }
        self._gauges[_WORKERS.name].set(1)
        # The series of a metric by labels: prometheus_client's own look-up takes a lock and longer than the counting.
        self._counter: Callable[..., Counter] = cache(lambda name, *labels: self._counters[name].labels(*labels))
        self._histogram: Callable[..., Histogram] = cache(lambda name, *labels: self._histograms[name].labels(*labels))
        self._latency = self._histogram(_LATENCY.name, _TRANSPORT)  # there from the start, at zero

    def router_failing(self, *, failing: bool) -> None:
        self._gauges[_FAILING.name].set(failing)

    def in_flight(self, requests: int) -> None:
        self._gauges[_IN_FLIGHT.name].set(requests)

    def decision_log_dropped(self, reason: str) -> None:
        self._counter(_LOG_DROPPED.name, reason).inc()

    def reloaded(self, *, refused: bool) -> None:
        self._gauges[_REFUSED.name].set(refused)

    def routing_budget(self, seconds: float) -> None:
        self._gauges[_BUDGET.name].set(seconds)

    def policy_refused(self, *, refused: bool) -> None:
        """Note whether Triton has refused the policy file that it was given."""
        self._gauges[_POLICY_ERROR.name].set(refused)

    def canaries_asked(self, result: Literal["right", "wrong", "failed"]) -> None:
        self._counter(_CANARY_ROUNDS.name, result).inc()
        self._gauges[_HEALTHY.name].set(result == "right")

    def looked_up(self, result: Literal["hit", "joined", "miss"]) -> None:
        self._counter(_CACHE.name, result).inc()

    def endpoint_checked(self, upstream: str, endpoint: str, *, up: bool) -> None:
        self._gauges[_ENDPOINT_UP.name].labels(upstream, endpoint).set(up)

    def endpoint_left(self, upstream: str, endpoint: str) -> None:
        """Forget an endpoint; a series that workers share cannot be removed."""
        self._gauges[_ENDPOINT_UP.name].labels(upstream, endpoint).set(math.nan)

    def upstreams_asked(self, exchange: Exchange) -> None:
        for upstream, result in exchange.attempts:
            self._counter(_UPSTREAM.name, upstream, result).inc()

    def classifier_answered(self, milliseconds: float) -> None:
        self._latency.observe(milliseconds)

    def decided(self, decision: DecisionDocument, route: str) -> None:
        self._counter(_DECISIONS.name, route, decision.target, decision.rationale, decision.winner, _TRANSPORT).inc()
        self._histogram(_CONFIDENCE.name, decision.winner).observe(decision.confidence)

    def shadowed(self, result: str, exchange: Exchange) -> None:
        """Count a shadow request by result, and the tokens that its would-be target would have worked on."""
        self._counter(_SHADOW.name, result).inc()
        if exchange.decision is None:
            return
        if exchange.usage is None:
            self._counters[_USAGE_UNKNOWN.name].inc()
            return
        moved = (exchange.decision.target, exchange.served_by or "")
        self._counter(_SHADOW_TOKENS.name, *moved, "prompt").inc(exchange.usage.prompt_tokens)
        self._counter(_SHADOW_TOKENS.name, *moved, "completion").inc(exchange.usage.completion_tokens)

    def request_ended(self, exchange: Exchange) -> None:
        self._counter(
            _REQUESTS.name, exchange.surface, exchange.mode or "unknown", exchange.outcome, exchange.upstream_result
        ).inc()
        self.upstreams_asked(exchange)
        if exchange.first_byte_seconds is not None:
            self._histogram(_FIRST_BYTE.name, exchange.surface).observe(exchange.first_byte_seconds)

    def render(self) -> bytes:
        """Return the text exposition format."""
        registry = self._registry
        if self._workers_directory is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._workers_directory)  # type: ignore[no-untyped-call]  # ships no type
        return generate_latest(registry)
