"""Every row of the table: what is measured, against what, and the mark to reach. A row without a number stays in it."""

from typing import Literal

import msgspec

from .rounds import Estimate


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `limit` is in `unit`; an empty unit is a ratio."""

    key: str
    family: str
    what: str
    against: str
    must_be: Literal["at most", "at least"]
    limit: float
    unit: str = ""

    @property
    def mark(self) -> str:
        sign = "≤" if self.must_be == "at most" else "≥"
        return f"{sign} {self.limit:g} {self.unit or 'x'}"

    def is_met_by(self, value: float) -> bool:
        return value <= self.limit if self.must_be == "at most" else value >= self.limit


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the row `key`, and in words what it was made of."""

    key: str
    value: Estimate
    detail: str = ""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Why the row `key` has no number."""

    key: str
    reason: str


def _goal(key: str, texts: tuple[str, str], must_be: Literal["at most", "at least"], limit: float, **more: str) -> Goal:
    family = key.partition(".")[0]
    return Goal(key=key, family=family, what=texts[0], against=texts[1], must_be=must_be, limit=limit, **more)


_IN_PROCESS = "the same tokenizer and ONNX session, in-process"
_BEST_BATCH = "the same in-process, best batch, all cores"
_RUST = "sglang-router"
_OFF = "the proxy, mode off"
_WARM = "after warm-up"

GOALS = (
    _goal("decision.p50-16", ("a decision, one client, 16 tokens, p50", _IN_PROCESS), "at most", 1.6),
    _goal("decision.p50-64", ("a decision, one client, 64 tokens, p50", _IN_PROCESS), "at most", 1.6),
    _goal("decision.rate-16", ("decisions/s, 16 clients, mixed lengths", _BEST_BATCH), "at least", 0.75),
    _goal("decision.rate-32", ("decisions/s, 32 clients, mixed lengths", _BEST_BATCH), "at least", 0.75),
    _goal("designs.naive", ("decisions/s, 16 clients", "a naive BLS model"), "at least", 1.0),
    _goal("designs.split", ("decisions/s, 16 clients", "an ensemble of three steps"), "at least", 1.0),
    _goal("proxy.added", ("proxy, mode off, one connection: added p50", _RUST), "at most", 1.3),
    _goal("proxy.added-nginx", ("proxy, mode off, one connection: added p50", "nginx"), "at most", 1.3),
    _goal("proxy.rate-16", ("proxy, mode off, requests/s, 16 connections", _RUST), "at least", 0.8),
    _goal("proxy.rate-64", ("proxy, mode off, requests/s, 64 connections", _RUST), "at least", 0.8),
    _goal("proxy.litellm-16", ("proxy, mode off, requests/s, 16 connections", "LiteLLM proxy"), "at least", 50),
    _goal("proxy.litellm-64", ("proxy, mode off, requests/s, 64 connections", "LiteLLM proxy"), "at least", 50),
    _goal("modes.cached", ("mode auto, cached decision, requests/s", _OFF), "at least", 0.85),
    _goal("modes.shadow", ("mode shadow, new texts, first byte p50", _OFF), "at most", 1.05),
    _goal("overload.decided", ("decisions/s at 1.5, 3, 10 x capacity", "the most decided"), "at least", 0.9),
    _goal("overload.p99", ("the same: p99 of the decided", "the routing budget"), "at most", 250, unit="ms"),
    _goal("overload.rest", ("the same: p99 of what fails open", ""), "at most", 20, unit="ms"),
    _goal("streaming.first", ("200 streams: added to the first token, p50", "direct"), "at most", 1.0, unit="ms"),
    _goal("streaming.jitter", ("200 streams: added jitter between tokens, p50", "direct"), "at most", 1.0, unit="ms"),
    _goal("streaming.stalled", ("20 more that do not read: added, p50", "all reading"), "at most", 1.0, unit="ms"),
    _goal("memory.proxy", ("memory of the proxy worker", _WARM), "at most", 1.05),
    _goal("memory.server", ("memory of tritonserver", _WARM), "at most", 1.05),
    _goal("memory.router", ("memory of semantic_router's processes", _WARM), "at most", 1.05),
    _goal("memory.classifier", ("memory of the classifier's processes", _WARM), "at most", 1.05),
    _goal("start.ready", ("`make run`, warm, to ready", ""), "at most", 10, unit="s"),
    _goal("growth.prompt", ("a decision as the prompt grows, 0.1-64 KB: exponent", "1 is linear"), "at most", 1.1),
    _goal("growth.window", ("64 KB: ns for each byte beyond the window", "reading a byte"), "at most", 100, unit="ns"),
    _goal("growth.rules", ("deciding as rules grow, 2-200: exponent", "1 is linear"), "at most", 1.1),
    _goal("growth.labels", ("deciding as labels grow, 2-100: exponent", "1 is linear"), "at most", 1.1),
    _goal("growth.upstreams", ("a proxied request as upstreams grow, 2-200: exponent", "1 is linear"), "at most", 1.1),
)  # fmt: skip
