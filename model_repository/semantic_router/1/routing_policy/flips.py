"""What would have changed a decision: for each score and each setting, the smallest change that decides for another
target. A decision can only change where two quantities it compares meet; those points are solved for, not searched.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Literal

import msgspec
from msgspec.structs import replace

from .decision import Decision, decide
from .policy import NON_REASONING, REASONING, BinaryPolicy, Policy, RulesPolicy

OtherScores = Literal["scaled", "unchanged"]

# Changes are found among values of nine decimals: finer ones drown in the rounding of floating point.
DECIMALS = 9
_GRAIN = 10.0**-DECIMALS
# Rounded in a log or typed by hand, the scores of a softmax still add up to 1 this closely.
_SUM_TOLERANCE = 1e-3


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """One score, or one setting of the policy, and the nearest value at which another target is decided."""

    kind: Literal["score", "setting"]
    name: str  # the label, or the setting's path in the policy
    current: float
    to: float
    change: float
    target: str
    rationale: str


class _Knob(msgspec.Struct, frozen=True, kw_only=True):
    """A number to turn within `low`..`high`; `decide_at` is constant between two neighbouring `meeting_points`."""

    kind: Literal["score", "setting"]
    name: str
    current: float
    low: float = 0.0
    high: float = 1.0
    meeting_points: list[float]
    decide_at: Callable[[float], Decision]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that moves with a turned score x: at + slope * x."""

    at: float
    slope: float

    def times(self, factor: float) -> "_Line":
        return _Line(at=self.at * factor, slope=self.slope * factor)

    def meets(self, other: "_Line") -> list[float]:
        """Return where two lines cross; parallel ones never change which is larger."""
        slope = self.slope - other.slope
        return [(other.at - self.at) / slope] if slope else []

    def reaches(self, value: float) -> list[float]:
        return self.meets(_Line(at=value, slope=0.0))


def find_flips(policy: Policy, scores: Mapping[str, float]) -> tuple[Flip, ...]:
    """Return the smallest change of each score and setting that decides for another target, smallest first."""
    target = decide(policy, scores).target.name
    flips = [flip for knob in _knobs(policy, scores) if (flip := _smallest_flip(knob, target))]
    return tuple(sorted(flips, key=lambda flip: abs(flip.change)))


def treatment_of_others(scores: Mapping[str, float]) -> OtherScores:
    """Take scores that add up to 1 for a softmax's: when one moves, the others keep their proportions and the sum."""
    return "scaled" if abs(sum(scores.values()) - 1) <= _SUM_TOLERANCE else "unchanged"


def with_score(scores: Mapping[str, float], label: str, value: float) -> dict[str, float]:
    """Return `scores` with one of them moved to `value` and the others treated as `treatment_of_others` says."""
    lines = _score_lines(scores, label)
    moved = {other: min(1.0, max(0.0, line.at + line.slope * value)) for other, line in lines.items()}
    return {**moved, label: value}


def _smallest_flip(knob: _Knob, target: str) -> Flip | None:
    for value in sorted(_values_around(knob), key=lambda value: abs(value - knob.current)):
        decision = knob.decide_at(value)
        if decision.target.name != target:
            return Flip(
                kind=knob.kind,
                name=knob.name,
                current=knob.current,
                to=value,
                change=round(value - knob.current, DECIMALS),
                target=decision.target.name,
                rationale=decision.rationale,
            )
    return None


def _values_around(knob: _Knob) -> set[float]:
    """Return the values of nine decimals at and beside each meeting point."""
    points = [point for point in knob.meeting_points if math.isfinite(point)]
    values = {round(round(point, DECIMALS) + step * _GRAIN, DECIMALS) for point in points for step in (-1, 0, 1)}
    return {value for value in values if knob.low <= value <= knob.high}


def _knobs(policy: Policy, scores: Mapping[str, float]) -> Iterable[_Knob]:
    match policy:
        case BinaryPolicy():
            return _binary_knobs(policy, scores[REASONING])
        case RulesPolicy():
            return chain(_score_knobs(policy, scores), _rules_setting_knobs(policy, scores))


def _binary_knobs(policy: BinaryPolicy, reasoning: float) -> Iterator[_Knob]:
    scores = _binary_scores(reasoning)
    cutoff = policy.reasoning_cutoff
    margin = 2 * policy.threshold_min_conf - 1  # the share of either side of the cutoff that abstains
    yield _Knob(
        kind="score",
        name=REASONING,
        current=reasoning,
        meeting_points=[cutoff, cutoff + margin * (1 - cutoff), cutoff - margin * cutoff],
        decide_at=lambda value: decide(policy, _binary_scores(value)),
    )
    yield _threshold_knob(policy, scores, decide(policy, scores).confidence)
    yield _Knob(
        kind="setting",
        name="$.reasoning_cutoff",
        current=cutoff,
        low=_GRAIN,
        high=1 - _GRAIN,
        meeting_points=[reasoning, *_cutoffs_at_threshold(reasoning, margin)],
        decide_at=lambda value: decide(replace(policy, reasoning_cutoff=value), scores),
    )


def _cutoffs_at_threshold(reasoning: float, margin: float) -> list[float]:
    """Solve confidence = threshold for the cutoff, on either side of it."""
    return [(reasoning - margin) / (1 - margin), reasoning / (1 - margin)] if margin < 1 else []


def _binary_scores(reasoning: float) -> dict[str, float]:
    return {REASONING: reasoning, NON_REASONING: 1 - reasoning}


def _threshold_knob(policy: Policy, scores: Mapping[str, float], compared: float) -> _Knob:
    return _Knob(
        kind="setting",
        name="$.threshold_min_conf",
        current=policy.threshold_min_conf,
        meeting_points=[compared],
        decide_at=lambda value: decide(replace(policy, threshold_min_conf=value), scores),
    )


def _score_knobs(policy: RulesPolicy, scores: Mapping[str, float]) -> Iterator[_Knob]:
    scaled = treatment_of_others(scores) == "scaled"
    for label, score in scores.items():
        yield _Knob(
            kind="score",
            name=label,
            current=score,
            high=min(1.0, sum(scores.values())) if scaled else 1.0,
            meeting_points=list(_where_scores_matter(policy, scores, label)),
            decide_at=partial(_decide_with_score, policy, scores, label),
        )


def _where_scores_matter(policy: RulesPolicy, scores: Mapping[str, float], moved: str) -> Iterator[float]:
    """Yield where a score meets the threshold or a min_conf, or the moved label's weighted score another's."""
    lines = _score_lines(scores, moved)
    for line in lines.values():
        yield from line.reaches(policy.threshold_min_conf)
    for rule in policy.rules:
        for condition in rule.when_any:
            yield from lines[condition.label].reaches(condition.min_conf)
    weighted = {label: line.times(policy.weights.get(label, 1.0)) for label, line in lines.items()}
    for line in weighted.values():
        yield from weighted[moved].meets(line)


def _score_lines(scores: Mapping[str, float], moved: str) -> dict[str, _Line]:
    """Return how every score depends on the moved one."""
    others = {label: score for label, score in scores.items() if label != moved}
    if treatment_of_others(scores) == "unchanged":
        lines = {label: _Line(at=score, slope=0.0) for label, score in others.items()}
    else:
        total = sum(scores.values())
        lines = {label: _Line(at=share * total, slope=-share) for label, share in _shares(others).items()}
    return {**lines, moved: _Line(at=0.0, slope=1.0)}


def _shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Return each label's share of the sum; equal shares where there is nothing to divide."""
    total = sum(scores.values())
    if total < _GRAIN:
        return dict.fromkeys(scores, 1 / len(scores)) if scores else {}
    return {label: score / total for label, score in scores.items()}


def _rules_setting_knobs(policy: RulesPolicy, scores: Mapping[str, float]) -> Iterator[_Knob]:
    yield _threshold_knob(policy, scores, max(scores.values()))
    for r, rule in enumerate(policy.rules):
        for c, condition in enumerate(rule.when_any):
            yield _Knob(
                kind="setting",
                name=f"$.rules[{r}].when_any[{c}].min_conf",
                current=condition.min_conf,
                meeting_points=[scores[condition.label]],
                decide_at=partial(_decide_with_min_conf, policy, scores, (r, c)),
            )


def _decide_with_score(policy: RulesPolicy, scores: Mapping[str, float], label: str, value: float) -> Decision:
    return decide(policy, with_score(scores, label, value))


def _decide_with_min_conf(
    policy: RulesPolicy, scores: Mapping[str, float], place: tuple[int, int], value: float
) -> Decision:
    return decide(_with_min_conf(policy, place, value), scores)


def _with_min_conf(policy: RulesPolicy, place: tuple[int, int], value: float) -> RulesPolicy:
    rule_index, condition_index = place
    rules, conditions = list(policy.rules), list(policy.rules[rule_index].when_any)
    conditions[condition_index] = replace(conditions[condition_index], min_conf=value)
    rules[rule_index] = replace(rules[rule_index], when_any=tuple(conditions))
    return replace(policy, rules=tuple(rules))
