"""Checks on a policy's meaning: against a classifier's labels, and for what it states to no effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing_policy.decision import decide
from routing_policy.errors import PolicyInvalid
from routing_policy.policy import BinaryPolicy, Condition, Rule, RulesPolicy, Target, policy_targets
from routing_policy.policy_checks import check_labels, check_served, label_problems, policy_warnings, softmax_warnings
from routing_policy.policy_file import parse_policy

LABELS = ["code", "general", "math"]


def binary(threshold: float = 0.6) -> BinaryPolicy:
    text = f"{{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: {threshold}}}"
    policy = parse_policy(text.encode(), "policy.yaml")
    assert isinstance(policy, BinaryPolicy)
    return policy


def rules(*conditions: list[tuple[str, float]], weights: dict[str, float] | None = None) -> RulesPolicy:
    """Make a policy whose rule N routes to `targetN` on any of its (label, min_conf) conditions."""
    return RulesPolicy(
        rules=tuple(
            Rule(
                when_any=tuple(Condition(label=label, min_conf=min_conf) for label, min_conf in rule),
                target=Target(name=f"target{index}", model=f"target{index}", params={}),
                rationale=f"rule{index}",
            )
            for index, rule in enumerate(conditions)
        ),
        abstain=Target(name="abstain", model="abstain", params={}),
        threshold_min_conf=0.3,
        weights=weights or {},
        classifier="topic_classifier",
        revision="0" * 12,
        file="policy.yaml",
    )


def test_targets_are_listed_by_name_with_the_abstain_target_first() -> None:
    assert list(policy_targets(binary())) == ["mid", "small", "big"]
    assert list(policy_targets(rules([("math", 0.5)], [("code", 0.5)]))) == ["abstain", "target0", "target1"]


@pytest.mark.parametrize("labels", [["reasoning", "general"], ["reasoning"], ["reasoning", "non-reasoning", "code"]])
def test_the_binary_form_wants_exactly_its_two_labels(labels: list[str]) -> None:
    check_labels(binary(), ["reasoning", "non-reasoning"])

    with pytest.raises(PolicyInvalid, match="expected a classifier with exactly the labels"):
        check_labels(binary(), labels)


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        pytest.param(
            rules([("math", 0.5)], [("code", 0.5), ("cooking", 0.5)]), "$.rules[1].when_any[1].label", id="rule"
        ),
        pytest.param(rules([("math", 0.5)], weights={"cooking": 1}), "$.weights.cooking", id="weight"),
    ],
)
def test_a_label_the_classifier_lacks_is_refused_with_its_path(policy: RulesPolicy, path: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        check_labels(policy, LABELS)

    assert refused.value.problems[0].path == path
    assert "got 'cooking'" in refused.value.problems[0].reason


def test_every_unknown_label_is_listed() -> None:
    policy = rules([("cooking", 0.5)], [("math", 0.5), ("sports", 0.5)])

    problems = label_problems(policy, LABELS)

    assert [problem.path for problem in problems] == ["$.rules[0].when_any[0].label", "$.rules[1].when_any[1].label"]


def test_a_target_that_no_upstream_serves_is_refused_with_its_path() -> None:
    check_served(binary(), ["big", "mid", "small"], "upstreams.yaml")

    with pytest.raises(PolicyInvalid) as refused:
        check_served(binary(), ["big", "mid"], "upstreams.yaml")

    assert refused.value.problems[0].path == "$.general_model"
    assert refused.value.problems[0].reason == "expected a model named in upstreams.yaml, got 'small'"


@pytest.mark.parametrize(
    ("policy", "warnings"),
    [
        pytest.param(binary(0.6), [], id="binary"),
        pytest.param(
            binary(0.5),
            ["$.threshold_min_conf: 0.5 never abstains: a binary confidence is at least 0.5"],
            id="binary threshold that never abstains",
        ),
        pytest.param(rules([("math", 0.5)], [("math", 0.4), ("code", 0.5)]), [], id="a lower min_conf later on"),
        pytest.param(
            rules([("math", 0.5)], [("math", 0.6)]),
            ["$.rules[1]: cannot fire: earlier rules take its labels at the same or lower min_conf"],
            id="shadowed rule",
        ),
        pytest.param(
            rules([("math", 0.5)], weights={"code": 2}),
            ["$.weights.code: cannot matter: no rule names this label"],
            id="weight without a rule",
        ),
    ],
)
def test_what_has_no_effect_is_warned_about(policy: BinaryPolicy | RulesPolicy, warnings: list[str]) -> None:
    assert [f"{each.path}: {each.reason}" for each in policy_warnings(policy)] == warnings


def test_weights_of_labels_that_never_compete_are_warned_about_for_softmax_scores() -> None:
    policy = rules([("math", 0.55)], [("code", 0.5)], [("general", 0.4)], weights={"math": 9, "general": 3})

    assert softmax_warnings(policy) == []
    [warning] = softmax_warnings(rules([("math", 0.55)], [("code", 0.5)], weights={"math": 9}))
    assert (warning.severity, warning.path) == ("warning", "$.weights.math")
    assert warning.reason == "cannot matter: its min_conf and any other label's add up to more than 1"


scores = st.fixed_dictionaries({label: st.floats(0, 1) for label in LABELS})
conditions = st.lists(st.tuples(st.sampled_from(LABELS), st.floats(0, 1)), min_size=1, max_size=3)
policies = st.builds(
    lambda many, weights: rules(*many, weights=weights),
    st.lists(conditions, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(LABELS), st.floats(0, 100)),
)


@given(policies, scores)
def test_a_rule_said_to_be_unable_to_fire_never_fires(policy: RulesPolicy, given_scores: dict[str, float]) -> None:
    warned = {warning.path for warning in policy_warnings(policy)}
    dead = {index for index in range(len(policy.rules)) if f"$.rules[{index}]" in warned}

    assert decide(policy, given_scores).rule not in dead
