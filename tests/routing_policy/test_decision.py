"""The decision rules of both policy forms, as tables and as properties."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_policy.decision import abstained, decide
from routing_policy.policy import BinaryPolicy, Policy, RulesPolicy
from routing_policy.policy_file import parse_policy

BINARY = "{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: 0.6}"
RULES = """
abstain_onprem_model: mid
threshold_min_conf: 0.3
weights: {math: 3, code: 1}
rules:
  - {when_any: [{label: math, min_conf: 0.3}, {label: logic, min_conf: 0.8}], route_onprem_model: big, rationale: hard}
  - {when_any: [{label: code, min_conf: 0.3}], route_onprem_model: coder, rationale: code}
"""


def policy(text: str) -> Policy:
    return parse_policy(text.encode(), "policy.yaml")


def binary(reasoning: float, cutoff: float = 0.5) -> tuple[str, str, str, float]:
    text = BINARY.replace("}", f", reasoning_cutoff: {cutoff}}}")
    decision = decide(policy(text), {"reasoning": reasoning, "non-reasoning": 1 - reasoning})
    return decision.target.name, decision.rationale, decision.winner, round(decision.confidence, 4)


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        pytest.param(0.97, ("big", "reasoning", "reasoning", 0.97), id="clearly reasoning"),
        pytest.param(0.02, ("small", "general", "non-reasoning", 0.98), id="clearly general"),
        pytest.param(0.60, ("big", "reasoning", "reasoning", 0.6), id="just confident"),
        pytest.param(0.59, ("mid", "abstain_low_confidence", "reasoning", 0.59), id="unsure, leaning to reasoning"),
        pytest.param(0.50, ("mid", "abstain_low_confidence", "reasoning", 0.5), id="undecided"),
        pytest.param(0.41, ("mid", "abstain_low_confidence", "non-reasoning", 0.59), id="unsure, leaning to general"),
        pytest.param(1.0, ("big", "reasoning", "reasoning", 1.0), id="certain"),
        pytest.param(0.0, ("small", "general", "non-reasoning", 1.0), id="certain of the opposite"),
    ],
)
def test_binary_decision(reasoning: float, expected: tuple[str, str, str, float]) -> None:
    assert binary(reasoning) == expected


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        pytest.param(0.30, ("mid", "abstain_low_confidence", "reasoning", 0.5625), id="just above the cutoff"),
        pytest.param(0.44, ("big", "reasoning", "reasoning", 0.65), id="below one half and yet reasoning"),
        pytest.param(0.10, ("small", "general", "non-reasoning", 0.75), id="below the cutoff"),
    ],
)
def test_the_cutoff_moves_the_boundary_and_confidence_is_measured_from_it(
    reasoning: float, expected: tuple[str, str, str, float]
) -> None:
    assert binary(reasoning, cutoff=0.2) == expected


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param({"math": 0.9, "code": 0.1, "logic": 0.0}, ("big", "hard", "math", 0.9, 0), id="one match"),
        pytest.param({"math": 0.1, "code": 0.9, "logic": 0.0}, ("coder", "code", "code", 0.9, 1), id="a later rule"),
        pytest.param({"math": 0.35, "code": 0.65, "logic": 0.0}, ("big", "hard", "math", 0.35, 0), id="weight decides"),
        pytest.param(
            {"math": 0.31, "code": 0.99, "logic": 0.0}, ("coder", "code", "code", 0.99, 1), id="score decides"
        ),
        pytest.param(
            {"math": 0.0, "code": 0.9, "logic": 0.9}, ("big", "hard", "logic", 0.9, 0), id="tie: earlier rule"
        ),
        pytest.param(
            {"math": 0.2, "code": 0.2, "logic": 0.6},
            ("mid", "abstain_no_rule", "logic", 0.6, None),
            id="confident, but below the rule's min_conf",
        ),
        pytest.param(
            {"math": 0.2, "code": 0.25, "logic": 0.1},
            ("mid", "abstain_low_confidence", "code", 0.25, None),
            id="nothing reaches the threshold",
        ),
    ],
)
def test_rules_decision(scores: dict[str, float], expected: tuple[str, str, str, float, int | None]) -> None:
    decision = decide(policy(RULES), scores)

    found = (decision.target.name, decision.rationale, decision.winner, decision.confidence, decision.rule)
    assert found == expected


def test_the_winner_is_the_label_that_fired_even_when_another_scored_higher() -> None:
    decision = decide(policy(RULES), {"math": 0.35, "code": 0.1, "logic": 0.55})

    assert (decision.winner, decision.confidence) == ("math", 0.35)


def test_weights_decide_between_rules_that_match_together() -> None:
    scores = {"math": 0.45, "code": 0.55, "logic": 0.0}

    assert decide(policy(RULES), scores).target.name == "big"
    assert decide(policy(RULES.replace("math: 3", "math: 1")), scores).target.name == "coder"


def test_abstaining_is_told_apart_from_routing_to_the_same_model() -> None:
    same = policy(BINARY.replace("mid", "small"))

    assert abstained(decide(same, {"reasoning": 0.5, "non-reasoning": 0.5}))
    assert not abstained(decide(same, {"reasoning": 0.1, "non-reasoning": 0.9}))


def test_deciding_keeps_nothing_behind() -> None:
    rules_policy, scores = policy(RULES), {"math": 0.9, "code": 0.1, "logic": 0.0}
    decide(rules_policy, scores)
    tracemalloc.start()

    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2000):
        decide(rules_policy, scores)
    after = tracemalloc.get_traced_memory()[0]

    tracemalloc.stop()
    assert after - before < 2000


score = st.floats(0, 1)
score_vectors = st.fixed_dictionaries({"math": score, "code": score, "logic": score})


@given(score)
def test_every_binary_score_has_a_decision_with_a_confidence_of_at_least_one_half(reasoning: float) -> None:
    decision = decide(policy(BINARY), {"reasoning": reasoning, "non-reasoning": 1 - reasoning})

    assert 0.5 <= decision.confidence <= 1
    assert abstained(decision) == (decision.confidence < 0.6)


@given(score_vectors)
def test_every_score_vector_has_one_decision_whatever_the_order_of_labels(scores: dict[str, float]) -> None:
    decision = decide(policy(RULES), scores)

    assert decision == decide(policy(RULES), dict(reversed(scores.items())))
    assert decision.confidence == scores[decision.winner]
    assert abstained(decision) == (decision.rule is None)


@given(score_vectors, st.floats(0.01, 100))
def test_scaling_all_weights_changes_nothing(scores: dict[str, float], factor: float) -> None:
    rules_policy = policy(RULES)
    assert isinstance(rules_policy, RulesPolicy)

    scaled = policy(RULES.replace("{math: 3, code: 1}", f"{{math: {3 * factor}, code: {factor}, logic: {factor}}}"))

    assert decide(scaled, scores).target == decide(rules_policy, scores).target


@given(st.floats(0.01, 0.99), score, score)
def test_more_reasoning_never_routes_away_from_reasoning(cutoff: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    text = BINARY.replace("0.6}", f"0, reasoning_cutoff: {cutoff}}}")
    binary_policy = policy(text)
    assert isinstance(binary_policy, BinaryPolicy)

    routed_low = decide(binary_policy, {"reasoning": low, "non-reasoning": 1 - low}).target.name
    routed_high = decide(binary_policy, {"reasoning": high, "non-reasoning": 1 - high}).target.name

    assert (routed_low, routed_high) != ("big", "small")
