"""Counting: one method per event, each moving metrics of the catalogue."""

import math
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from routing_policy.decision import DecisionDocument

from . import metric_catalogue as catalogue
from .exchange import Exchange

# prometheus_client reads this one itself, when it is imported; workers find it set by their parent.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_TRANSPORT = "http"


class Metrics:
    """One registry per application, so that several can live in one process.

    With `workers_directory` the values are those of all workers that share it.
    """

    def __init__(self, workers_directory: str | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a process-wide switch; registries have none
        registry = self._registry = CollectorRegistry()
        self._workers_directory = workers_directory
        self._counters = {
            each.name: Counter(each.name, each.meaning, each.labels, registry=registry) for each in catalogue.COUNTERS
        }
        self._histograms = {
            each.name: Histogram(each.name, each.meaning, each.labels, buckets=each.buckets, registry=registry)
            for each in catalogue.HISTOGRAMS
        }
        self._gauges = {
            each.name: Gauge(each.name, each.meaning, each.labels, multiprocess_mode=each.across, registry=registry)
            for each in catalogue.GAUGES
        }
        self._gauges[catalogue.WORKERS.name].set(1)
        # The series of a metric by labels: prometheus_client's own look-up takes a lock and longer than the counting.
        self._counter: Callable[..., Counter] = cache(lambda name, *labels: self._counters[name].labels(*labels))
        self._histogram: Callable[..., Histogram] = cache(lambda name, *labels: self._histograms[name].labels(*labels))
        self._latency = self._histogram(catalogue.LATENCY.name, _TRANSPORT)  # there from the start, at zero

    def router_failing(self, *, failing: bool) -> None:
        self._gauges[catalogue.FAILING.name].set(failing)

    def in_flight(self, requests: int) -> None:
        self._gauges[catalogue.IN_FLIGHT.name].set(requests)

    def connection_ended(self, reason: str) -> None:
        self._counter(catalogue.CONNECTIONS_ENDED.name, reason).inc()

    def decision_log_dropped(self, reason: str) -> None:
        self._counter(catalogue.LOG_DROPPED.name, reason).inc()

    def background_failed(self, task: str) -> None:
        self._counter(catalogue.BACKGROUND.name, task).inc()

    def reloaded(self, *, refused: bool) -> None:
        self._gauges[catalogue.REFUSED.name].set(refused)

    def routing_budget(self, seconds: float) -> None:
        self._gauges[catalogue.BUDGET.name].set(seconds)

    def policy_refused(self, *, refused: bool) -> None:
        """Note whether Triton has refused the policy file that it was given."""
        self._gauges[catalogue.POLICY_ERROR.name].set(refused)

    def canaries_asked(self, result: Literal["right", "wrong", "failed"]) -> None:
        self._counter(catalogue.CANARY_ROUNDS.name, result).inc()
        self._gauges[catalogue.HEALTHY.name].set(result == "right")

    def looked_up(self, result: Literal["hit", "joined", "miss"]) -> None:
        self._counter(catalogue.CACHE.name, result).inc()

    def endpoint_checked(self, upstream: str, endpoint: str, *, up: bool) -> None:
        self._gauges[catalogue.ENDPOINT_UP.name].labels(upstream, endpoint).set(up)

    def endpoint_left(self, upstream: str, endpoint: str) -> None:
        """Forget an endpoint; a series that workers share cannot be removed."""
        self._gauges[catalogue.ENDPOINT_UP.name].labels(upstream, endpoint).set(math.nan)

    def upstreams_asked(self, exchange: Exchange) -> None:
        for upstream, result in exchange.attempts:
            self._counter(catalogue.UPSTREAM.name, upstream, result).inc()

    def classifier_answered(self, milliseconds: float) -> None:
        self._latency.observe(milliseconds)

    def decided(self, decision: DecisionDocument, route: str) -> None:
        self._counter(
            catalogue.DECISIONS.name, route, decision.target, decision.rationale, decision.winner, _TRANSPORT
        ).inc()
        self._histogram(catalogue.CONFIDENCE.name, decision.winner).observe(decision.confidence)

    def shadowed(self, result: str, exchange: Exchange) -> None:
        """Count a shadow request by result, and the tokens that its would-be target would have worked on."""
        self._counter(catalogue.SHADOW.name, result, exchange.not_judged or "").inc()
        if exchange.decision is None:
            return
        if exchange.usage is None:
            self._counters[catalogue.USAGE_UNKNOWN.name].inc()
            return
        moved = (exchange.decision.target, exchange.served_by or "")
        self._counter(catalogue.SHADOW_TOKENS.name, *moved, "prompt").inc(exchange.usage.prompt_tokens)
        self._counter(catalogue.SHADOW_TOKENS.name, *moved, "completion").inc(exchange.usage.completion_tokens)

    def request_ended(self, exchange: Exchange) -> None:
        self._counter(
            catalogue.REQUESTS.name,
            exchange.surface,
            exchange.mode or "unknown",
            exchange.outcome,
            exchange.upstream_result,
        ).inc()
        if exchange.arm is not None:
            self._counter(catalogue.ARMS.name, exchange.arm, exchange.upstream_result).inc()
        self.upstreams_asked(exchange)
        if exchange.first_byte_seconds is not None:
            self._histogram(catalogue.FIRST_BYTE.name, exchange.surface).observe(exchange.first_byte_seconds)

    def render(self) -> bytes:
        """Return the text exposition format."""
        registry = self._registry
        if self._workers_directory is not None:
            registry = CollectorRegistry()
            _WorkersCollector(registry, self._workers_directory)  # type: ignore[no-untyped-call]  # ships no type
        return generate_latest(registry)


class _WorkersCollector(MultiProcessCollector):
    """Reads the files of all workers; one that a worker is just making is empty for a moment, and holds nothing yet."""

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in Path(self._path).glob("*.db") if file.stat().st_size]
        metrics: Iterable[Metric] = self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]  # ships no type
        return metrics
