"""Why a decision came out as it did: every comparison with its gap, and what would flip it. It never holds the text."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from .decision import Decision, decide
from .flips import DECIMALS, Flip, OtherScores, find_flips, treatment_of_others
from .policy import REASONING, BinaryPolicy, Condition, Policy, RulesPolicy


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One number against one setting of the policy; `gap` is value minus bound, negative when it falls short."""

    path: str
    measures: str
    value: float
    bound: float
    gap: float
    met: bool


class ClauseTrace(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a rule; `product` is weight times score, which decides between those that matched."""

    path: str
    label: str
    score: float
    min_conf: float
    gap: float
    weight: float
    product: float
    matched: bool
    fired: bool


class RuleTrace(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    rationale: str
    fired: bool
    clauses: tuple[ClauseTrace, ...]


class DecisionTaken(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    rationale: str
    winner: str
    confidence: float
    rule: int | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision taken apart, as /v1/route?explain=1 answers it; `flips` are in order of size, smallest first.

    `other_scores` says what happens to the other labels when a flip moves one score: `scaled` keeps the sum of a
    softmax (they shrink or grow in proportion), `unchanged` is for labels scored independently of each other.
    """

    policy: str
    form: Literal["binary", "rules"]
    summary: str
    decision: DecisionTaken
    scores: dict[str, float]
    checks: tuple[Check, ...]
    rules: tuple[RuleTrace, ...]
    other_scores: OtherScores
    flips: tuple[Flip, ...]


def explain(policy: Policy, scores: Mapping[str, float]) -> Explanation:
    """Take apart what `decide` makes of one score in 0..1 per label."""
    decision = decide(policy, scores)
    checks = _checks(policy, scores, decision)
    rules = _rules(policy, scores, decision)
    return Explanation(
        policy=policy.revision,
        form="binary" if isinstance(policy, BinaryPolicy) else "rules",
        summary=_summary(decision, checks, rules),
        decision=_decision_taken(decision),
        scores=dict(scores),
        checks=checks,
        rules=rules,
        other_scores="scaled" if isinstance(policy, BinaryPolicy) else treatment_of_others(scores),
        flips=find_flips(policy, scores),
    )


def _decision_taken(decision: Decision) -> DecisionTaken:
    return DecisionTaken(
        target=decision.target.name,
        rationale=decision.rationale,
        winner=decision.winner,
        confidence=decision.confidence,
        rule=decision.rule,
    )


def _checks(policy: Policy, scores: Mapping[str, float], decision: Decision) -> tuple[Check, ...]:
    match policy:
        case BinaryPolicy():
            return (
                _check("$.reasoning_cutoff", f"score of {REASONING}", scores[REASONING], policy.reasoning_cutoff),
                _check("$.threshold_min_conf", "confidence", decision.confidence, policy.threshold_min_conf),
            )
        case RulesPolicy():
            top = max(scores, key=lambda label: scores[label])
            return (_check("$.threshold_min_conf", f"highest score, {top}", scores[top], policy.threshold_min_conf),)


def _check(path: str, measures: str, value: float, bound: float) -> Check:
    return Check(path=path, measures=measures, value=value, bound=bound, gap=_gap(value, bound), met=value >= bound)


def _gap(value: float, bound: float) -> float:
    return round(value - bound, DECIMALS)


def _rules(policy: Policy, scores: Mapping[str, float], decision: Decision) -> tuple[RuleTrace, ...]:
    match policy:
        case BinaryPolicy():
            return ()
        case RulesPolicy():
            return tuple(_rule(policy, index, scores, decision) for index in range(len(policy.rules)))


def _rule(policy: RulesPolicy, index: int, scores: Mapping[str, float], decision: Decision) -> RuleTrace:
    rule = policy.rules[index]
    winner = decision.winner if decision.rule == index else None
    return RuleTrace(
        target=rule.target.name,
        rationale=rule.rationale,
        fired=winner is not None,
        clauses=tuple(
            _clause(
                condition,
                f"$.rules[{index}].when_any[{place}]",
                (scores[condition.label], policy.weights.get(condition.label, 1.0)),
                winner,
            )
            for place, condition in enumerate(rule.when_any)
        ),
    )


def _clause(condition: Condition, path: str, score_and_weight: tuple[float, float], winner: str | None) -> ClauseTrace:
    score, weight = score_and_weight
    matched = score >= condition.min_conf
    return ClauseTrace(
        path=path,
        label=condition.label,
        score=score,
        min_conf=condition.min_conf,
        gap=_gap(score, condition.min_conf),
        weight=weight,
        product=weight * score,
        matched=matched,
        fired=matched and condition.label == winner,
    )


def _summary(decision: Decision, checks: tuple[Check, ...], rules: tuple[RuleTrace, ...]) -> str:
    """Say in one sentence what decided."""
    threshold = checks[-1]
    if not threshold.met:
        return f"abstained: {_compared(threshold)}"
    if not rules:
        return "; ".join(_compared(check) for check in checks)
    clauses = [clause for rule in rules for clause in rule.clauses]
    if decision.rule is None:
        nearest = max(clauses, key=lambda clause: clause.gap)
        return f"abstained: no clause matched; nearest: {nearest.label} {_short(nearest.gap)} at {nearest.path}"
    fired = next(clause for clause in clauses if clause.fired)
    return f"{fired.path} fired: {_weighed(fired)}{_runner_up(fired, clauses)}"


def _compared(check: Check) -> str:
    return f"{check.measures} {number(check.value)}, {_short(check.gap)} at {check.path} {number(check.bound)}"


def _short(gap: float) -> str:
    return f"{number(-gap)} short" if gap < 0 else f"{number(gap)} to spare"


def _runner_up(fired: ClauseTrace, clauses: list[ClauseTrace]) -> str:
    others = [clause for clause in clauses if clause.matched and clause.label != fired.label]
    if not others:
        return ", the only label that matched"
    return f", ahead of {_weighed(max(others, key=lambda clause: clause.product))}"


def _weighed(clause: ClauseTrace) -> str:
    return f"{clause.label} {number(clause.score)} x weight {number(clause.weight)} = {number(clause.product)}"


def number(value: float) -> str:
    """Write a score, weight or gap for a person: four decimals, no zeros at the end."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
