"""Every metric of the proxy: its name, what it means and how it is split.

The first two have the guide's names, exactly; ours are `semrouter_*` in base units.
"""

from typing import Literal

import msgspec

# Binary confidence begins at 0.5; most decisions lie close to 1.
CONFIDENCE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What a metric is called, means and is split by; `across` says how workers' gauges make one."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Literal["livesum", "livemax", "livemin"] = "livemax"


DECISIONS = Metric(
    name="semantic_route_decisions_total",
    meaning="Routing decisions taken.",
    labels=("route", "target", "rationale", "winner", "transport"),
)
LATENCY = Metric(
    name="semantic_classifier_latency_ms",
    meaning="Round trip to Triton for one decision, failed ones included, in milliseconds.",
    labels=("transport",),
    buckets=(0.5, 1, 2.5, 5, 10, 20, 50, 100, 250, 500, 1000, 2500),
)
REQUESTS = Metric(
    name="semrouter_requests_total",
    meaning="Requests on routed surfaces by how they ended; each counts once.",
    labels=("surface", "mode", "outcome", "upstream"),
)
ARMS = Metric(
    name="semrouter_arm_requests_total",
    meaning="Requests that asked for routing while a share is set, by arm (routed, control) and how the upstream did.",
    labels=("arm", "upstream"),
)
FIRST_BYTE = Metric(
    name="semrouter_first_byte_seconds",
    meaning="From a request's arrival to the first byte of its answer.",
    labels=("surface",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
SHADOW = Metric(
    name="semrouter_shadow_total",
    meaning="Shadow requests by result: agree or differ with the model served, no_text, failed, dropped; and why.",
    labels=("result", "reason"),
)
SHADOW_TOKENS = Metric(
    name="semrouter_shadow_tokens_total",
    meaning="Tokens of shadow requests by the target decided on, the upstream that served them, and kind.",
    labels=("target", "served_by", "kind"),
)
USAGE_UNKNOWN = Metric(
    name="semrouter_shadow_usage_unknown_total", meaning="Shadow requests whose answer stated no usage."
)
CONFIDENCE = Metric(
    name="semrouter_decision_confidence",
    meaning="Confidence of the routing decisions taken, by the label that decided.",
    labels=("winner",),
    buckets=CONFIDENCE_BOUNDS,
)
CACHE = Metric(
    name="semrouter_cache_total",
    meaning="Texts looked up in the decision cache: hit, joined (decided together with the same text), miss.",
    labels=("result",),
)
UPSTREAM = Metric(
    name="semrouter_upstream_requests_total",
    meaning="Attempts at an upstream by result: 2xx, 3xx, 4xx, 5xx, unreachable, timed_out, aborted, cancelled.",
    labels=("upstream", "result"),
)
ENDPOINT_UP = Metric(
    name="semrouter_endpoint_up",
    meaning="1 while an endpoint answers its checks and requests reach it; NaN once it is not configured any more.",
    labels=("upstream", "endpoint"),
    across="livemin",
)
CANARY_ROUNDS = Metric(
    name="semrouter_canary_rounds_total",
    meaning="Rounds of canaries by result: right, wrong (another label than known), failed (no decision).",
    labels=("result",),
)
HEALTHY = Metric(
    name="semrouter_classifier_healthy",
    meaning="1 while each canary gets its known answer (any, where none is known for the classifier); 0 until then.",
    across="livemin",
)
BUDGET = Metric(
    name="semrouter_routing_budget_seconds",
    meaning="How long a request waits for its decision unless it says otherwise; 0 while routing is off.",
)
POLICY_ERROR = Metric(
    name="semrouter_policy_error", meaning="1 while Triton decides by an older policy because it refused its file."
)
LOG_DROPPED = Metric(
    name="semrouter_decision_log_dropped_total",
    meaning="Lines missing from the decision log: queue_full (the disk is too slow), not_written (it refused).",
    labels=("reason",),
)
CONNECTIONS_ENDED = Metric(
    name="semrouter_connections_ended_total",
    meaning="Connections ended from this side by reason: no_room, idle_for_another, slow_head, unreadable, unread.",
    labels=("reason",),
)
BACKGROUND = Metric(
    name="semrouter_background_failures_total",
    meaning="Rounds of work beside requests that failed by no fault foreseen: health checks, reload, canaries, shadow.",
    labels=("task",),
)
FAILING = Metric(name="semrouter_router_failing", meaning="1 while Triton is left alone after failures in a row.")
WORKERS = Metric(name="semrouter_workers", meaning="Processes that answer requests.", across="livesum")
IN_FLIGHT = Metric(name="semrouter_in_flight_requests", meaning="Requests being answered.", across="livesum")
REFUSED = Metric(name="semrouter_configuration_refused", meaning="1 while the files are not the ones in use.")

COUNTERS = (
    DECISIONS,
    REQUESTS,
    ARMS,
    UPSTREAM,
    CACHE,
    CANARY_ROUNDS,
    SHADOW,
    SHADOW_TOKENS,
    USAGE_UNKNOWN,
    LOG_DROPPED,
    BACKGROUND,
    CONNECTIONS_ENDED,
)
HISTOGRAMS = (LATENCY, CONFIDENCE, FIRST_BYTE)
GAUGES = (HEALTHY, BUDGET, FAILING, POLICY_ERROR, REFUSED, ENDPOINT_UP, WORKERS, IN_FLIGHT)


def metrics_table() -> str:
    """Return the reference's table of metrics as Markdown."""
    kinds = (("counter", COUNTERS), ("histogram", HISTOGRAMS), ("gauge", GAUGES))
    rows = [
        f"| `{metric.name}` | {kind} | {', '.join(metric.labels)} | {metric.meaning} |"
        for kind, metrics in kinds
        for metric in metrics
    ]
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *rows])
