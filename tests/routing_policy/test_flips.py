"""What would flip a decision: stated exactly, and nothing smaller does it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from routing_policy.decision import decide
from routing_policy.flips import Flip, find_flips, with_score
from routing_policy.policy import BinaryPolicy, Condition, Policy, Rule, RulesPolicy, Target
from routing_policy.policy_file import parse_policy

GRAIN = 1e-9
LABELS = ["code", "general", "math"]
BINARY = "{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: 0.6}"
RULES = """
abstain_onprem_model: mid
threshold_min_conf: 0.4
weights: {math: 3, code: 2}
rules:
  - {when_any: [{label: math, min_conf: 0.5}], route_onprem_model: big, rationale: hard}
  - {when_any: [{label: code, min_conf: 0.3}], route_onprem_model: coder, rationale: code}
"""


def policy(text: str) -> Policy:
    return parse_policy(text.encode(), "policy.yaml")


def binary_policy(threshold: float, cutoff: float) -> BinaryPolicy:
    made = policy(BINARY)
    assert isinstance(made, BinaryPolicy)
    return replace(made, threshold_min_conf=threshold, reasoning_cutoff=cutoff)


def binary_scores(reasoning: float) -> dict[str, float]:
    return {"reasoning": reasoning, "non-reasoning": 1 - reasoning}


def found(flips: tuple[Flip, ...]) -> list[tuple[str, float, str]]:
    return [(flip.name, flip.to, flip.target) for flip in flips]


@pytest.mark.parametrize(
    ("reasoning", "flips"),
    [
        pytest.param(
            0.55,
            [("reasoning", 0.6, "big"), ("$.threshold_min_conf", 0.55, "big"), ("$.reasoning_cutoff", 0.4375, "big")],
            id="unsure: a little more would do",
        ),
        pytest.param(
            0.9,
            [
                ("reasoning", 0.599999999, "mid"),
                ("$.threshold_min_conf", 0.900000001, "mid"),
                ("$.reasoning_cutoff", 0.875000001, "mid"),
            ],
            id="sure: falling below the threshold would abstain",
        ),
    ],
)
def test_flips_of_a_binary_decision(reasoning: float, flips: list[tuple[str, float, str]]) -> None:
    assert found(find_flips(policy(BINARY), binary_scores(reasoning))) == flips


@pytest.mark.parametrize(
    ("scores", "flips"),
    [
        pytest.param(
            {"math": 0.6, "code": 0.4, "general": 0.0},
            [
                ("math", 0.499999999, "coder"),
                ("code", 0.500000001, "coder"),
                ("$.rules[0].when_any[0].min_conf", 0.600000001, "coder"),
                ("$.threshold_min_conf", 0.600000001, "mid"),
                ("general", 0.166666667, "coder"),
            ],
            id="softmax: the others are scaled to keep the sum",
        ),
        pytest.param(
            {"math": 0.625, "code": 0.4, "general": 0.9},
            [
                ("math", 0.499999999, "coder"),
                ("$.rules[0].when_any[0].min_conf", 0.625000001, "coder"),
                ("$.threshold_min_conf", 0.900000001, "mid"),
                ("code", 0.937500001, "coder"),
            ],
            id="independent scores: the others stay",
        ),
        pytest.param(
            {"math": 0.2, "code": 0.1, "general": 0.1},
            [("math", 0.5, "big"), ("code", 0.4, "coder")],
            id="no single setting would do",
        ),
    ],
)
def test_flips_of_a_rules_decision_smallest_first(
    scores: dict[str, float], flips: list[tuple[str, float, str]]
) -> None:
    assert sorted(found(find_flips(policy(RULES), scores))) == sorted(flips)
    changes = [abs(flip.change) for flip in find_flips(policy(RULES), scores)]
    assert changes == sorted(changes)


def test_a_policy_with_one_target_cannot_flip() -> None:
    everywhere = policy(BINARY.replace("big", "mid").replace("small", "mid"))

    assert find_flips(everywhere, binary_scores(0.55)) == ()


def test_moving_a_softmax_score_keeps_the_sum_and_the_proportions_of_the_others() -> None:
    moved = with_score({"math": 0.6, "code": 0.3, "general": 0.1}, "math", 0.2)

    assert moved == pytest.approx({"math": 0.2, "code": 0.6, "general": 0.2})


def test_where_the_others_are_zero_they_share_what_is_left_evenly() -> None:
    moved = with_score({"math": 1.0, "code": 0.0, "general": 0.0}, "math", 0.2)

    assert moved == pytest.approx({"math": 0.2, "code": 0.4, "general": 0.4})


hundredths = st.integers(0, 100).map(lambda n: n / 100)
conditions = st.builds(lambda label, bound: Condition(label=label, min_conf=bound), st.sampled_from(LABELS), hundredths)
rules = st.lists(st.lists(conditions, min_size=1, max_size=3), min_size=1, max_size=3)


@st.composite
def rules_policies(draw: st.DrawFn) -> RulesPolicy:
    targets = [Target(name=name, model=name, params={}) for name in ("abstain", "a", "b", "c")]
    return RulesPolicy(
        rules=tuple(
            Rule(when_any=tuple(clauses), target=targets[index + 1], rationale="rule")
            for index, clauses in enumerate(draw(rules))
        ),
        abstain=targets[0],
        threshold_min_conf=draw(hundredths),
        weights=draw(st.dictionaries(st.sampled_from(LABELS), st.integers(0, 60).map(float))),
        classifier="topic_classifier",
        revision="0" * 12,
        file="policy.yaml",
    )


@st.composite
def score_vectors(draw: st.DrawFn) -> dict[str, float]:
    values = draw(st.lists(hundredths, min_size=3, max_size=3))
    softmax = draw(st.booleans()) and sum(values) > 0
    return {label: value / sum(values) if softmax else value for label, value in zip(LABELS, values, strict=True)}


binary_policies = st.builds(binary_policy, hundredths, st.integers(1, 99).map(lambda n: n / 100))


def target_after(policy: Policy, scores: dict[str, float], flip: Flip, value: float) -> str:
    """Apply a change the way its description says and decide again."""
    if flip.kind == "score":
        moved = binary_scores(value) if isinstance(policy, BinaryPolicy) else with_score(scores, flip.name, value)
        return decide(policy, moved).target.name
    return decide(with_setting(policy, flip.name, value), scores).target.name


def with_setting(policy: Policy, path: str, value: float) -> Policy:
    match path, policy:
        case "$.threshold_min_conf", _:
            return replace(policy, threshold_min_conf=value)
        case "$.reasoning_cutoff", BinaryPolicy():
            return replace(policy, reasoning_cutoff=value)
        case _, RulesPolicy():
            numbers = [int(digit) for digit in path if digit.isdigit()]
            rules = list(policy.rules)
            clauses = list(rules[numbers[0]].when_any)
            clauses[numbers[1]] = replace(clauses[numbers[1]], min_conf=value)
            rules[numbers[0]] = replace(rules[numbers[0]], when_any=tuple(clauses))
            return replace(policy, rules=tuple(rules))
    raise AssertionError(path)


def assert_smallest(policy: Policy, scores: dict[str, float], part: float) -> None:
    before = decide(policy, scores).target.name
    for flip in find_flips(policy, scores):
        towards_current = GRAIN if flip.current > flip.to else -GRAIN
        anywhere_between = round(flip.current + part * (flip.to + towards_current - flip.current), 9)

        assert target_after(policy, scores, flip, flip.to) == flip.target != before
        if abs(flip.change) > GRAIN:
            assert target_after(policy, scores, flip, round(flip.to + towards_current, 9)) == before
            assert target_after(policy, scores, flip, anywhere_between) == before


@given(rules_policies(), score_vectors(), st.floats(0, 1))
def test_a_flip_of_rules_gives_its_target_and_nothing_smaller_does(
    policy: RulesPolicy, scores: dict[str, float], part: float
) -> None:
    assert_smallest(policy, scores, part)


@given(binary_policies, hundredths, st.floats(0, 1))
def test_a_binary_flip_gives_its_target_and_nothing_smaller_does(
    policy: BinaryPolicy, reasoning: float, part: float
) -> None:
    assert_smallest(policy, binary_scores(reasoning), part)


@given(rules_policies(), score_vectors(), st.sampled_from(LABELS), st.floats(0, 1))
def test_a_score_without_a_flip_cannot_change_the_target(
    policy: RulesPolicy, scores: dict[str, float], label: str, value: float
) -> None:
    flipping = {flip.name for flip in find_flips(policy, scores) if flip.kind == "score"}

    after = decide(policy, with_score(scores, label, round(value, 9))).target.name

    assert label in flipping or after == decide(policy, scores).target.name


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.999))
def test_every_score_and_setting_has_flips_without_failing(reasoning: float, threshold: float, cutoff: float) -> None:
    made = binary_policy(threshold, cutoff)

    for flip in find_flips(made, binary_scores(reasoning)):
        assert target_after(made, binary_scores(reasoning), flip, flip.to) == flip.target
