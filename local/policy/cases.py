"""The tests of a policy: each case's scores through the policy, compared with what the case expects."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from local.errors import ScoresInvalid
from routing_policy.explanation import Explanation, explain
from routing_policy.policy import NON_REASONING, REASONING, BinaryPolicy, Policy, RulesPolicy, policy_labels
from routing_policy.policy_forms import CaseForm, Share

_SCORES = msgspec.json.Decoder(Annotated[dict[str, Share], msgspec.Meta(min_length=1)])
Verdict = Literal["PASSED", "FAILED", "SKIPPED"]


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    verdict: Verdict
    detail: str


def parse_scores(text: str) -> dict[str, float]:
    """Read scores given as a JSON object of label to number."""
    try:
        scores: dict[str, float] = _SCORES.decode(text)
    except msgspec.DecodeError as exc:
        raise ScoresInvalid(f'scores: {str(exc).replace("`", "")}; for example {{"{REASONING}": 0.7}}') from exc
    return scores


def complete_scores(policy: Policy, scores: Mapping[str, float]) -> dict[str, float]:
    """Add what was left out: the other label's complement in the binary form, 0 for labels that rules name."""
    match policy:
        case BinaryPolicy():
            if not scores.keys() <= {REASONING, NON_REASONING}:
                raise ScoresInvalid(f"scores: expected {REASONING} or {NON_REASONING}, got {', '.join(sorted(scores))}")
            reasoning = scores[REASONING] if REASONING in scores else 1 - scores[NON_REASONING]
            return {REASONING: reasoning, NON_REASONING: 1 - reasoning, **scores}
        case RulesPolicy():
            return {**dict.fromkeys(sorted(policy_labels(policy)), 0.0), **scores}


def case_name(case: CaseForm, index: int) -> str:
    if case.name is not None:
        return case.name
    return f"tests[{index}] {case.text if case.scores is None else msgspec.json.encode(case.scores).decode()}"


def run_case(policy: Policy, case: CaseForm, name: str, scores: Mapping[str, float]) -> CaseResult:
    """Decide on `scores` and compare; the detail says what came out instead, and why."""
    explanation = explain(policy, complete_scores(policy, scores))
    missed = _missed(case, explanation)
    if missed:
        return CaseResult(name=name, verdict="FAILED", detail=f"expected {', '.join(missed)} ({explanation.summary})")
    decision = explanation.decision
    return CaseResult(name=name, verdict="PASSED", detail=f"{decision.target}, {decision.rationale}")


def _missed(case: CaseForm, explanation: Explanation) -> list[str]:
    expect, decision = case.expect, explanation.decision
    compared = [
        ("target", expect.target, decision.target),
        ("rationale", expect.rationale, decision.rationale),
        ("winner", expect.winner, decision.winner),
    ]
    return [f"{what} {wanted}, got {got}" for what, wanted, got in compared if wanted not in {None, got}]
