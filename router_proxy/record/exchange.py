"""What is known about one request on a routed surface so far: filled in phase by phase, recorded once at its end."""

import time

import msgspec
from aiohttp import web

from router_proxy.errors import ClassifierUnavailable, Overloaded, ProxyError, UpstreamTimedOut, UpstreamUnreachable
from router_proxy.outcomes import Outcome, Verdict
from router_proxy.request.modes import Mode
from router_proxy.request.share import Arm
from router_proxy.upstreams.placement import Choice
from router_proxy.upstreams.upstreams import Endpoint, Upstream
from routing_policy.decision import DecisionDocument

from .usage import Usage

UNKNOWN_MODEL = "(unknown)"  # in place of a name that nobody here has


class Exchange(msgspec.Struct, kw_only=True):
    """Starts as `invalid`, so that a request refused or given up before it was understood counts as that."""

    request_id: str
    surface: str
    started: float = msgspec.field(default_factory=time.perf_counter)
    mode: Mode | None = None
    requested_model: str | None = None
    outcome: Outcome = Outcome.INVALID
    arm: Arm | None = None  # which side of a share this request is on; None where everybody is routed
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
    not_judged: str | None = None  # why a shadow request got no decision
    text: bytes | None = None  # what is judged, as Triton gets it
    total_seconds: float | None = None
    route_seconds: float | None = None
    first_byte_seconds: float | None = None

    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self.started

    def note_verdict(self, verdict: Verdict) -> None:
        self.outcome, self.target = verdict.outcome, verdict.target.name
        self.decision, self.cached = verdict.decision, verdict.cached

    def note_attempt(self, upstream: str, result: str) -> None:
        """Note how one attempt at an upstream ended; the last one stands for the request."""
        self.attempts.append((upstream, result))
        self.upstream_result = result

    def note_break(self, result: str) -> None:
        """Note what ended the answer being passed on before its time: `aborted` there, `cancelled` by the client."""
        upstream, _ = self.attempts.pop()
        self.note_attempt(upstream, result)

    def note_answer(self, upstream: Upstream, endpoint: Endpoint, status: int) -> None:
        self.served_by = upstream.name
        self.answered_at = (upstream, endpoint)
        self.status = status
        self.note_attempt(upstream.name, f"{status // 100}xx")
        self.first_byte_seconds = self.elapsed_seconds()

    def note_capped(self, choice: Choice) -> None:
        """Note that the decided target had no room and `choice` took its place."""
        self.outcome, self.target = Outcome.CAPPED, choice.name

    def note_moved(self, choice: Choice, lacking: str) -> None:
        """Note that the decided target lacked something and `choice` took its place."""
        self.target = choice.name
        if self.decision is not None:
            self.decision = msgspec.structs.replace(
                self.decision, target=choice.name, model=choice.upstream.name, rationale=f"ineligible_{lacking}"
            )

    def note_refusal(self, error: ProxyError) -> None:
        """Note an answer of our own; only a refusal that is about the request or our limits is an outcome."""
        self.status = error.status
        match error:
            case UpstreamUnreachable() | UpstreamTimedOut():
                self.upstream_result = error.result
            case Overloaded() | ClassifierUnavailable():
                self.outcome = Outcome.REJECTED
            case _:
                self.outcome = Outcome.INVALID

    @property
    def cache_result(self) -> str:
        return "hit" if self.cached else "miss"


# Under these a request carries what is ours.
EXCHANGE = web.RequestKey("exchange", Exchange)
REQUEST_ID = web.RequestKey("request_id", str)
