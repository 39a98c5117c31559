"""Every metric of the proxy by name. The first two are the guide's, exactly; ours are `semrouter_*` in base units."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from routing_policy.decision import DecisionDocument

from .exchange import Exchange

# prometheus_client reads this one itself, when it is imported; workers find it set by their parent.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_TRANSPORT = "http"
_LATENCY_MS = (0.5, 1, 2.5, 5, 10, 20, 50, 100, 250, 500, 1000, 2500)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """One registry per application, so that several can live in one process.

    With `workers_directory` the values are those of all workers that share it.
    """

    def __init__(self, workers_directory: str | None = None) -> None:
        self._workers_directory = workers_directory
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a process-wide switch; registries have none
        registry = self._registry = CollectorRegistry()
        self._decisions = Counter(
            "semantic_route_decisions_total",
            "Routing decisions taken.",
            ["route", "target", "rationale", "winner", "transport"],
            registry=registry,
        )
        self._classifier_latency = Histogram(
            "semantic_classifier_latency_ms",
            "Round trip to Triton for one decision, failed ones included, in milliseconds.",
            ["transport"],
            buckets=_LATENCY_MS,
            registry=registry,
        ).labels(_TRANSPORT)
        self._requests = Counter(
            "semrouter_requests_total",
            "Requests on routed surfaces by how they ended; each counts once.",
            ["surface", "mode", "outcome", "upstream"],
            registry=registry,
        )
        self._first_byte = Histogram(
            "semrouter_first_byte_seconds",
            "From a request's arrival to the first byte of its answer.",
            ["surface"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._shadow = Counter(
            "semrouter_shadow_total",
            "Shadow decisions by result: agree or differ with the model served, no_text, failed, dropped.",
            ["result"],
            registry=registry,
        )
        self._shadow_tokens = Counter(
            "semrouter_shadow_tokens_total",
            "Tokens of shadow requests by the target decided on, the upstream that served them, and kind.",
            ["target", "served_by", "kind"],
            registry=registry,
        )
        self._shadow_usage_unknown = Counter(
            "semrouter_shadow_usage_unknown_total", "Shadow requests whose answer stated no usage.", registry=registry
        )
        self._router_failing = Gauge(
            "semrouter_router_failing",
            "1 while Triton is left alone after failures in a row.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._in_flight = Gauge(
            "semrouter_in_flight_requests", "Requests being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self._refused = Gauge(
            "semrouter_configuration_refused",
            "1 while the files are not the ones in use.",
            registry=registry,
            multiprocess_mode="livemax",
        )

    def router_failing(self, *, failing: bool) -> None:
        self._router_failing.set(failing)

    def in_flight(self, requests: int) -> None:
        self._in_flight.set(requests)

    def reloaded(self, *, refused: bool) -> None:
        self._refused.set(refused)

    def classifier_answered(self, milliseconds: float) -> None:
        self._classifier_latency.observe(milliseconds)

    def decided(self, decision: DecisionDocument, route: str) -> None:
        self._decisions.labels(route, decision.target, decision.rationale, decision.winner, _TRANSPORT).inc()

    def shadowed(self, result: str, exchange: Exchange) -> None:
        """Count a shadow request by result, and the tokens that its would-be target would have worked on."""
        self._shadow.labels(result).inc()
        if exchange.decision is None:
            return
        if exchange.usage is None:
            self._shadow_usage_unknown.inc()
            return
        moved = (exchange.decision.target, exchange.served_by or "")
        self._shadow_tokens.labels(*moved, "prompt").inc(exchange.usage.prompt_tokens)
        self._shadow_tokens.labels(*moved, "completion").inc(exchange.usage.completion_tokens)

    def request_ended(self, exchange: Exchange) -> None:
        self._requests.labels(
            exchange.surface, exchange.mode or "unknown", exchange.outcome, exchange.upstream_result
        ).inc()
        if exchange.first_byte_seconds is not None:
            self._first_byte.labels(exchange.surface).observe(exchange.first_byte_seconds)

    def render(self) -> bytes:
        """Return the text exposition format."""
        registry = self._registry
        if self._workers_directory is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._workers_directory)  # type: ignore[no-untyped-call]  # ships no type
        return generate_latest(registry)
