"""What is known about one request on a routed surface so far: filled in phase by phase, recorded once at its end."""

import time

import msgspec
from aiohttp import web

from router_proxy.errors import ClassifierUnavailable, Overloaded, ProxyError, UpstreamTimedOut, UpstreamUnreachable
from router_proxy.outcomes import Outcome, Verdict
from router_proxy.request.headers import header_text
from router_proxy.request.modes import Mode
from router_proxy.upstreams.placement import Choice
from router_proxy.upstreams.upstreams import Endpoint, Upstream
from routing_policy.decision import ClassifierRef, DecisionDocument

from .usage import Usage


class Exchange(msgspec.Struct, kw_only=True):
    """Starts as `invalid`, so that a request refused or given up before it was understood counts as that."""

    request_id: str
    surface: str
    started: float = msgspec.field(default_factory=time.perf_counter)
    mode: Mode | None = None
    requested_model: str | None = None
    outcome: Outcome = Outcome.INVALID
    decision: DecisionDocument | None = None
    cached: bool = False
    target: str | None = None  # the target's name where one was decided on, else the model asked for
    status: int | None = None
    served_by: str | None = None  # the upstream that answered
    upstream_result: str = "none"  # 2xx, 3xx, 4xx, 5xx, unreachable, timed_out, aborted, cancelled
    attempts: list[tuple[str, str]] = msgspec.field(default_factory=list)  # upstream and result, in order
    answered_at: tuple[Upstream, Endpoint] | None = None
    answer_head: bytes = b""
    usage: Usage | None = None
    text: bytes | None = None  # what is judged, as Triton gets it
    total_seconds: float | None = None
    route_seconds: float | None = None
    first_byte_seconds: float | None = None

    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started

    def judged(self, verdict: Verdict) -> None:
        self.outcome, self.target = verdict.outcome, verdict.target.name
        self.decision, self.cached = verdict.decision, verdict.cached

    def attempted(self, upstream: str, result: str) -> None:
        """Note how one attempt at an upstream ended; the last one stands for the request."""
        self.attempts.append((upstream, result))
        self.upstream_result = result

    def stopped(self, result: str) -> None:
        """Note what ended the answer being passed on before its time: `aborted` there, `cancelled` by the client."""
        upstream, _ = self.attempts.pop()
        self.attempted(upstream, result)

    def answered(self, upstream: Upstream, endpoint: Endpoint, status: int) -> None:
        self.served_by = upstream.name
        self.answered_at = (upstream, endpoint)
        self.status = status
        self.attempted(upstream.name, f"{status // 100}xx")
        self.first_byte_seconds = self.elapsed_seconds()

    def capped(self, choice: Choice) -> None:
        """Note that the decided target had no room and `choice` took its place."""
        self.outcome, self.target = Outcome.CAPPED, choice.name

    def moved(self, choice: Choice, lacking: str) -> None:
        """Note that the decided target lacked something and `choice` took its place."""
        self.target = choice.name
        if self.decision is not None:
            self.decision = msgspec.structs.replace(
                self.decision, target=choice.name, model=choice.upstream.name, rationale=f"ineligible_{lacking}"
            )

    def refused(self, error: ProxyError) -> None:
        """Note an answer of our own; only a refusal that is about the request or our limits is an outcome."""
        self.status = error.status
        match error:
            case UpstreamUnreachable() | UpstreamTimedOut():
                self.upstream_result = error.result
            case Overloaded() | ClassifierUnavailable():
                self.outcome = Outcome.REJECTED
            case _:
                self.outcome = Outcome.INVALID

    def headers(self) -> dict[str, str]:
        """Return the decision headers of the answer."""
        values: dict[str, str] = {"x-semrouter-mode": self.mode or "unknown", "x-semrouter-outcome": self.outcome}
        if decision := self.decision:
            values["x-semrouter-target"] = header_text(decision.target)
            values["x-semrouter-rationale"] = header_text(decision.rationale)
            values["x-semrouter-winner"] = header_text(decision.winner)
            values["x-semrouter-confidence"] = f"{decision.confidence:.4f}"
            values["x-semrouter-policy"] = header_text(decision.policy)
            values["x-semrouter-classifier"] = header_text(_classifier(decision.classifier))
            values["x-semrouter-cache"] = self._cache
        if self.served_by is not None:
            values["x-semrouter-upstream"] = header_text(self.served_by)
        return values

    @property
    def _cache(self) -> str:
        return "hit" if self.cached else "miss"

    def log_record(self) -> dict[str, object]:
        """Return the decision log line's fields: everything that explains the request, nothing it said."""
        decision = self.decision
        return {
            "ts": round(time.time(), 3),
            "request_id": self.request_id,
            "surface": self.surface,
            "mode": self.mode,
            "outcome": self.outcome,
            "target": self.target,
            "requested_model": self.requested_model,
            "rationale": decision and decision.rationale,
            "winner": decision and decision.winner,
            "confidence": decision and decision.confidence,
            "scores": decision and decision.scores,
            "policy": decision and decision.policy,
            "classifier": decision and decision.classifier,
            "cache": decision and self._cache,
            "truncated": decision and decision.truncated,
            "tokens_seen": decision and decision.tokens_seen,
            "served_by": self.served_by,
            "usage": self.usage,
            "status": self.status,
            "upstream": self.upstream_result,
            "ms": {
                "route": _milliseconds(self.route_seconds),
                "first_byte": _milliseconds(self.first_byte_seconds),
                "total": _milliseconds(self.total_seconds),
            },
        }


def _classifier(ref: ClassifierRef) -> str:
    return f"{ref.name}/{ref.version}/{ref.revision}"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


# Under these a request carries what is ours.
EXCHANGE = web.RequestKey("exchange", Exchange)
REQUEST_ID = web.RequestKey("request_id", str)
