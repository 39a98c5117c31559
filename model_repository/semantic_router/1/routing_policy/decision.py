"""From scores to a decision: total, pure and deterministic. The document is what crosses from Triton to its clients."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .policy import NON_REASONING, REASONING, BinaryPolicy, Policy, RulesPolicy, Target

ABSTAIN_LOW_CONFIDENCE = "abstain_low_confidence"
ABSTAIN_NO_RULE = "abstain_no_rule"
ABSTAIN_RATIONALES = frozenset({ABSTAIN_LOW_CONFIDENCE, ABSTAIN_NO_RULE})


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Where a text goes and why. `winner` is the label that decided; `rule` the index of the rule that fired."""

    target: Target
    rationale: str
    winner: str
    confidence: float
    rule: int | None


class ClassifierRef(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: int
    revision: str


class DecisionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The `decision` output of the Triton model `semantic_router`, as JSON."""

    target: str
    model: str
    params: dict[str, Any]
    rationale: str
    winner: str
    confidence: float
    scores: dict[str, float]
    rule: int | None
    policy: str
    classifier: ClassifierRef
    tokens_seen: int | None  # None for the keyword classifier, which reads no tokens
    tokens_total: int | None  # None too when the middle of a long text was cut before tokenizing
    truncated: bool
    policy_error: str | None
    timings_us: dict[str, int]  # tokenize, classify, decide


def decide(policy: Policy, scores: Mapping[str, float]) -> Decision:
    """Apply the policy to one finite score per label."""
    match policy:
        case BinaryPolicy():
            return _decide_binary(policy, scores[REASONING])
        case RulesPolicy():
            return _decide_by_rules(policy, scores)


def abstained(decision: Decision) -> bool:
    return decision.rationale in ABSTAIN_RATIONALES


def _decide_binary(policy: BinaryPolicy, reasoning: float) -> Decision:
    winner = REASONING if reasoning >= policy.reasoning_cutoff else NON_REASONING
    confidence = _binary_confidence(reasoning, policy.reasoning_cutoff)
    if confidence < policy.threshold_min_conf:
        return _abstain(policy, ABSTAIN_LOW_CONFIDENCE, winner, confidence)
    is_reasoning = winner == REASONING
    return Decision(
        target=policy.reasoning if is_reasoning else policy.general,
        rationale="reasoning" if is_reasoning else "general",
        winner=winner,
        confidence=confidence,
        rule=None,
    )


def _binary_confidence(reasoning: float, cutoff: float) -> float:
    """Rescale the distance from the cutoff to 0.5..1 on either side; at cutoff 0.5 that is max(p, 1 - p)."""
    if reasoning >= cutoff:
        return 0.5 + 0.5 * (reasoning - cutoff) / (1 - cutoff)
    return 0.5 + 0.5 * (cutoff - reasoning) / cutoff


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that a text meets: the rule it stands in, its label, and weight x score of that label."""

    rule_index: int
    label: str
    weighted: float


def find_matches(policy: RulesPolicy, scores: Mapping[str, float]) -> list[Match]:
    """Return every condition whose score is high enough, in the order of the rules."""
    matches: list[Match] = []
    for index, rule in enumerate(policy.rules):
        for condition in rule.when_any:
            score = scores[condition.label]
            if score >= condition.min_conf:
                weighted = policy.weights.get(condition.label, 1.0) * score
                matches.append(Match(rule_index=index, label=condition.label, weighted=weighted))
    return matches


def _decide_by_rules(policy: RulesPolicy, scores: Mapping[str, float]) -> Decision:
    top = min(scores, key=lambda label: (-scores[label], label))
    if scores[top] < policy.threshold_min_conf:
        return _abstain(policy, ABSTAIN_LOW_CONFIDENCE, top, scores[top])
    matches = find_matches(policy, scores)
    if not matches:
        return _abstain(policy, ABSTAIN_NO_RULE, top, scores[top])
    best = max(matches, key=lambda match: match.weighted)  # of equals, max keeps the first: the earlier rule wins
    rule = policy.rules[best.rule_index]
    return Decision(
        target=rule.target,
        rationale=rule.rationale,
        winner=best.label,
        confidence=scores[best.label],
        rule=best.rule_index,
    )


def _abstain(policy: Policy, rationale: str, winner: str, confidence: float) -> Decision:
    return Decision(target=policy.abstain, rationale=rationale, winner=winner, confidence=confidence, rule=None)
