"""A decision taken apart: every comparison with its gap, in a document without the text."""

import msgspec
import pytest

from routing_policy.decision import decide
from routing_policy.explanation import Explanation, explain
from routing_policy.policy import Policy
from routing_policy.policy_file import parse_policy

BINARY = "{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: 0.6}"
RULES = """
abstain_onprem_model: mid
threshold_min_conf: 0.4
weights: {math: 3, code: 2}
rules:
  - {when_any: [{label: math, min_conf: 0.5}, {label: code, min_conf: 0.9}], route_onprem_model: big, rationale: hard}
  - {when_any: [{label: code, min_conf: 0.3}], route_onprem_model: coder, rationale: code}
"""


def policy(text: str) -> Policy:
    return parse_policy(text.encode(), "policy.yaml")


def by_rules(math: float, code: float) -> Explanation:
    return explain(policy(RULES), {"math": math, "code": code, "general": 0.1})


def test_a_binary_decision_shows_the_score_at_the_cutoff_and_the_confidence_at_the_threshold() -> None:
    explanation = explain(policy(BINARY), {"reasoning": 0.55, "non-reasoning": 0.45})

    found = [(check.path, check.value, check.bound, check.gap, check.met) for check in explanation.checks]
    assert found == [
        ("$.reasoning_cutoff", 0.55, 0.5, 0.05, True),
        ("$.threshold_min_conf", 0.55, 0.6, -0.05, False),
    ]
    assert (explanation.decision.target, explanation.decision.rationale) == ("mid", "abstain_low_confidence")
    assert explanation.rules == ()


def test_every_clause_of_every_rule_shows_its_gap_weight_and_product() -> None:
    explanation = by_rules(math=0.6, code=0.8)

    found = [
        (clause.path, clause.label, clause.gap, clause.weight, round(clause.product, 9), clause.matched, clause.fired)
        for rule in explanation.rules
        for clause in rule.clauses
    ]
    assert found == [
        ("$.rules[0].when_any[0]", "math", 0.1, 3, 1.8, True, True),
        ("$.rules[0].when_any[1]", "code", -0.1, 2, 1.6, False, False),
        ("$.rules[1].when_any[0]", "code", 0.5, 2, 1.6, True, False),
    ]
    assert [rule.fired for rule in explanation.rules] == [True, False]
    assert explanation.decision.rule == 0


@pytest.mark.parametrize(
    ("explanation", "summary"),
    [
        pytest.param(
            explain(policy(BINARY), {"reasoning": 0.9, "non-reasoning": 0.1}),
            "score of reasoning 0.9, 0.4 to spare at $.reasoning_cutoff 0.5; "
            "confidence 0.9, 0.3 to spare at $.threshold_min_conf 0.6",
            id="binary",
        ),
        pytest.param(
            explain(policy(BINARY), {"reasoning": 0.45, "non-reasoning": 0.55}),
            "abstained: confidence 0.55, 0.05 short at $.threshold_min_conf 0.6",
            id="binary abstention",
        ),
        pytest.param(
            by_rules(math=0.2, code=0.1),
            "abstained: highest score, math 0.2, 0.2 short at $.threshold_min_conf 0.4",
            id="low confidence",
        ),
        pytest.param(
            by_rules(math=0.46, code=0.1),
            "abstained: no clause matched; nearest: math 0.04 short at $.rules[0].when_any[0]",
            id="no rule",
        ),
        pytest.param(
            by_rules(math=0.6, code=0.1),
            "$.rules[0].when_any[0] fired: math 0.6 x weight 3 = 1.8, the only label that matched",
            id="one match",
        ),
        pytest.param(
            by_rules(math=0.6, code=0.5),
            "$.rules[0].when_any[0] fired: math 0.6 x weight 3 = 1.8, ahead of code 0.5 x weight 2 = 1",
            id="two matches",
        ),
    ],
)
def test_the_summary_says_in_one_sentence_what_decided(explanation: Explanation, summary: str) -> None:
    assert explanation.summary == summary


@pytest.mark.parametrize(
    ("general", "treatment"),
    [pytest.param(0.2, "scaled", id="softmax"), pytest.param(0.9, "unchanged", id="independent labels")],
)
def test_it_says_how_the_other_scores_are_treated(general: float, treatment: str) -> None:
    assert explain(policy(RULES), {"math": 0.5, "code": 0.3, "general": general}).other_scores == treatment


def test_it_states_the_decision_that_is_taken_and_goes_through_json_unchanged() -> None:
    scores = {"math": 0.6, "code": 0.8, "general": 0.1}

    explanation = explain(policy(RULES), scores)

    decision = decide(policy(RULES), scores)
    assert explanation.decision.target == decision.target.name
    assert explanation.decision.confidence == decision.confidence
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation
