"""One line of the decision log: everything that explains a request, and nothing it said unless that is switched on.

The proxy writes this value and every tool reads it. A reader takes lines in which fields are missing.
"""

import time
from typing import Annotated

import msgspec

from router_proxy.request.share import Arm
from routing_policy.decision import DecisionDocument

from .exchange import Exchange
from .usage import Usage

# In these outcomes the caller named the model, so the target is not who answered.
PLACED_BY_CALLER = frozenset({"shadow", "explicit", "off"})


class LoggedClassifier(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: int | None = None
    revision: str


class Milliseconds(msgspec.Struct, frozen=True, kw_only=True):
    route: float | None = None
    first_byte: float | None = None
    total: float | None = None


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """The fields in the order they are written; `text` is written only with SEMROUTER_DECISION_LOG_TEXT."""

    ts: float | None = None
    request_id: str | None = None
    surface: str | None = None
    mode: str | None = None
    outcome: str
    arm: Arm | None = None
    target: str | None = None
    requested_model: str | None = None
    rationale: str | None = None
    winner: str | None = None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    scores: dict[str, float] | None = None
    policy: str | None = None
    classifier: LoggedClassifier | None = None
    cache: str | None = None
    truncated: bool | None = None
    tokens_seen: int | None = None
    not_judged: str | None = None
    served_by: str | None = None
    usage: Usage | None = None
    status: int | None = None
    upstream: str | None = None
    ms: Milliseconds | None = None
    text: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def answerer(self) -> str | None:
        """Who used the tokens: the target where the router placed the request, else the upstream that served it."""
        return self.served_by or self.target if self.outcome in PLACED_BY_CALLER else self.target


class LineInvalid(Exception):
    """A line that is no line of a decision log, and why."""


class LineCutShort(LineInvalid):
    """Not even JSON: what a crash leaves of the last line."""


_LINE = msgspec.json.Decoder(DecisionLine)


def read_line(raw: bytes) -> DecisionLine:
    """Decode one line; LineInvalid says what is wrong with it."""
    try:
        line = _LINE.decode(raw)
    except msgspec.ValidationError as exc:
        raise LineInvalid(f"expected a line of the decision log: {str(exc).replace('`', '')}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise LineCutShort(f"expected a line of the decision log: {str(exc).replace('`', '')}") from exc
    if line.scores is not None and not all(0 <= score <= 1 for score in line.scores.values()):
        raise LineInvalid("$.scores: expected scores in 0..1")
    return line


def line_of(exchange: Exchange) -> DecisionLine:
    """Return what the log says of a request that ended, without its text."""
    line = DecisionLine(
        ts=round(time.time(), 3),
        request_id=exchange.request_id,
        surface=exchange.surface,
        mode=exchange.mode,
        outcome=exchange.outcome,
        arm=exchange.arm,
        target=exchange.target,
        not_judged=exchange.not_judged,
        requested_model=exchange.requested_model,
        served_by=exchange.served_by,
        usage=exchange.usage,
        status=exchange.status,
        upstream=exchange.upstream_result,
        ms=Milliseconds(
            route=_milliseconds(exchange.route_seconds),
            first_byte=_milliseconds(exchange.first_byte_seconds),
            total=_milliseconds(exchange.total_seconds),
        ),
    )
    return line if exchange.decision is None else _with_decision(line, exchange.decision, exchange.cache_result)


def _with_decision(line: DecisionLine, decision: DecisionDocument, cache_result: str) -> DecisionLine:
    ref = decision.classifier
    return msgspec.structs.replace(
        line,
        rationale=decision.rationale,
        winner=decision.winner,
        confidence=decision.confidence,
        scores=decision.scores,
        policy=decision.policy,
        classifier=LoggedClassifier(name=ref.name, version=ref.version, revision=ref.revision),
        cache=cache_result,
        truncated=decision.truncated,
        tokens_seen=decision.tokens_seen,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
