"""What a decision log says in sum: counts only, taken in one pass."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from local.errors import LogInvalid
from router_proxy.record.decision_line import DecisionLine
from router_proxy.record.log_parts import PlacedLine
from routing_policy.decision import ABSTAIN_RATIONALES

from .lines import read_line
from .token_estimate import Flow, Route, TokenEstimate, estimate_tokens

CONFIDENCE_BINS = 20
NOBODY = "(nobody)"
_PERIODS = 48
_MINUTE_SECONDS = 60


class Period(msgspec.Struct, kw_only=True):
    """A stretch of time from `start`, in seconds since 1970. `needed` counts the requests that needed a decision."""

    start: float
    needed: int = 0
    abstained: int = 0
    failed_open: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds since 1970. Pairs of names count the requests that have both."""

    first: float
    last: float
    requests: int
    damaged: Sequence[str]  # lines cut short, as file:number
    outcomes: Mapping[tuple[str, str], int]  # outcome and mode
    answered: Mapping[tuple[str, str], int]  # upstream and mode
    decided: Mapping[tuple[str, str], int]  # target and rationale, of what was routed
    not_judged: Mapping[str, int]  # shadow requests without a decision, by why
    shadowed: Mapping[tuple[str, str], int]  # upstream that served and target that was decided on
    judges: Mapping[tuple[str, str], int]  # policy and classifier
    confidence: Mapping[str, Sequence[int]]  # by winner
    periods: Sequence[Period]
    ledgers: Mapping[tuple[str, str], Flow]  # target and mode
    estimated: int  # requests whose tokens are in `tokens`
    tokens: Sequence[TokenEstimate]  # as it was, and had shadow requests gone where the router would send them


class _Sums(msgspec.Struct, kw_only=True):
    """A report in the making."""

    requests: int = 0
    first: float = float("inf")
    last: float = float("-inf")
    outcomes: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    decided: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    not_judged: Counter[str] = msgspec.field(default_factory=Counter)
    shadowed: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    judges: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    confidence: dict[str, list[int]] = msgspec.field(default_factory=dict)
    minutes: dict[int, Period] = msgspec.field(default_factory=dict)
    ledgers: defaultdict[tuple[str, str], Flow] = msgspec.field(default_factory=lambda: defaultdict(Flow))
    flows: defaultdict[Route, Flow] = msgspec.field(default_factory=lambda: defaultdict(Flow))


def summarise(log: Iterable[PlacedLine]) -> Report:
    """Sum up `log`. A line that is no JSON was cut short by a crash and is only counted; LogInvalid names any other."""
    sums, damaged = _Sums(), []
    for place, raw in log:
        if _is_json(raw):
            _add(sums, place, read_line(place, raw))
        else:
            damaged.append(place)
    if not sums.requests:
        raise LogInvalid("expected lines of a decision log, found none")
    estimated, tokens = estimate_tokens(sums.flows)
    return Report(
        first=sums.first,
        last=sums.last,
        requests=sums.requests,
        damaged=damaged,
        outcomes=sums.outcomes,
        answered=sums.answered,
        decided=sums.decided,
        not_judged=sums.not_judged,
        shadowed=sums.shadowed,
        judges=sums.judges,
        confidence=sums.confidence,
        periods=_periods(list(sums.minutes.values())),
        ledgers=sums.ledgers,
        estimated=estimated,
        tokens=tokens,
    )


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _add(sums: _Sums, place: str, line: DecisionLine) -> None:
    if line.ts is None:
        raise LogInvalid(f"{place}: $.ts: expected the time of the request")
    mode = line.mode or "unknown"
    sums.requests += 1
    sums.first, sums.last = min(sums.first, line.ts), max(sums.last, line.ts)
    sums.outcomes[line.outcome, mode] += 1
    sums.answered[line.served_by or NOBODY, mode] += 1
    if line.not_judged:
        sums.not_judged[line.not_judged] += 1
    _add_decision(sums, line)
    _add_to_period(sums, line, line.ts)
    _add_tokens(sums, line, mode)


def _add_decision(sums: _Sums, line: DecisionLine) -> None:
    if line.scores is None or line.target is None:
        return
    if line.outcome == "shadow":
        sums.shadowed[line.served_by or NOBODY, line.target] += 1
    else:
        sums.decided[line.target, line.rationale or ""] += 1
    judge = f"{line.classifier.name} {line.classifier.revision}" if line.classifier else ""
    sums.judges[line.policy or "", judge] += 1
    if line.confidence is not None:
        bins = sums.confidence.setdefault(line.winner or "", [0] * CONFIDENCE_BINS)
        bins[min(int(line.confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)] += 1


def _add_to_period(sums: _Sums, line: DecisionLine, seconds: float) -> None:
    """Count a request that needed a decision; of shadow requests those that got one, as the others may have no text."""
    failed_open = line.outcome.startswith("failopen")
    if line.scores is None and not failed_open:
        return
    minute = int(seconds // _MINUTE_SECONDS)
    period = sums.minutes.setdefault(minute, Period(start=minute * _MINUTE_SECONDS))
    period.needed += 1
    period.failed_open += failed_open
    period.abstained += line.rationale in ABSTAIN_RATIONALES


def _add_tokens(sums: _Sums, line: DecisionLine, mode: str) -> None:
    if line.served_by is None or line.answerer is None:
        return
    sums.ledgers[line.answerer, mode].add(line)
    would = line.target if line.outcome == "shadow" and line.scores is not None else None
    sums.flows[Route(logged=line.answerer, before=line.answerer, after=would or line.answerer)].add(line)


def _periods(minutes: Sequence[Period]) -> list[Period]:
    """Join minutes into at most so many periods of equal length; one without requests is left out."""
    if not minutes:
        return []
    first = min(minute.start for minute in minutes)
    span = max(minute.start for minute in minutes) - first + _MINUTE_SECONDS
    length = _MINUTE_SECONDS * math.ceil(span / _MINUTE_SECONDS / _PERIODS)
    periods: dict[int, Period] = {}
    for minute in minutes:
        number = int((minute.start - first) // length)
        period = periods.setdefault(number, Period(start=first + number * length))
        period.needed += minute.needed
        period.abstained += minute.abstained
        period.failed_open += minute.failed_open
    return [periods[number] for number in sorted(periods)]
