"""A policy with several mistakes is told all of them, and what a misspelt key was likely meant to be."""

import pytest

from routing_policy.errors import PolicyInvalid
from routing_policy.policy_file import parse_policy

BINARY = """
reasoning_model: big
general_model: small
abstain_onprem_model: small
threshold_min_conf: 0.6
"""
RULES = """
abstain_onprem_model: small
threshold_min_conf: 0.5
weights: {math: 2, code: 1}
rules:
  - {when_any: [{label: math, min_conf: 0.5}], route_onprem_model: big, rationale: math}
  - {when_any: [{label: code, min_conf: 0.5}], route_onprem_model: {model: big}, rationale: code}
"""


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        pytest.param(
            BINARY.replace("reasoning_model", "reasonning_model").replace("0.6", "1.4") + "rules: [{}]\nextra: 1\n",
            [
                "$.reasonning_model: unknown key",
                "$.general_model: unknown key",
                "$.extra: unknown key",
                "$.threshold_min_conf: expected float <= 1.0, got 1.4",
                "$.rules[0]: missing required key when_any",
                "$.rules[0]: missing required key route_onprem_model",
                "$.rules[0]: missing required key rationale",
            ],
            id="two forms in one",
        ),
        pytest.param(
            BINARY.replace("general_model", "genral_model").replace("threshold", "treshold"),
            [
                "$.genral_model: unknown key; did you mean general_model?",
                "$.treshold_min_conf: unknown key; did you mean threshold_min_conf?",
            ],
            id="two misspelt keys",
        ),
        pytest.param(
            RULES.replace("min_conf: 0.5}", "min_confidence: 0.5}").replace("math: 2", "math: -2"),
            [
                "$.rules[0].when_any[0].min_confidence: unknown key; did you mean min_conf?",
                "$.rules[1].when_any[0].min_confidence: unknown key; did you mean min_conf?",
                "$.weights.math: expected float >= 0",
            ],
            id="the same mistake twice and another",
        ),
        pytest.param(
            RULES.replace("{model: big}", "{modell: big, nam: x}").replace("rationale: math", "rationale: ' math'"),
            [
                "$.rules[0].rationale: expected str matching",
                "$.rules[1].route_onprem_model.modell: unknown key; did you mean model?",
                "$.rules[1].route_onprem_model.nam: unknown key; did you mean name?",
            ],
            id="inside of a target",
        ),
        pytest.param(
            BINARY.replace("big", "router") + "tests: [{text: a}, {expect: {}, text: b, scores: {}}]\n",
            ["$.tests[0]: missing required key expect", "$.tests[1].expect: expected a target", "$.tests[1].scores"],
            id="tests",
        ),
    ],
)
def test_every_mistake_is_told(content: str, problems: list[str]) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(content.encode(), "p.yaml")

    found = [f"{problem.path}: {problem.reason}" for problem in refused.value.problems]
    assert len(found) == len(problems), found
    assert all(any(told.startswith(expected) for told in found) for expected in problems), found


def test_one_line_names_the_first_three() -> None:
    content = BINARY + "".join(f"extra{number}: 1\n" for number in range(5))

    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(content.encode(), "p.yaml")

    assert len(refused.value.problems) == 5
    assert str(refused.value).count("unknown key") == 3
    assert str(refused.value).endswith("; and 2 more")


@pytest.mark.parametrize("name", ["big\n", "big\r", " big", "b\tig", "bíg"])
def test_a_name_that_no_header_can_carry_is_refused(name: str) -> None:
    content = BINARY.replace("big", '"' + name.encode("unicode_escape").decode() + '"')

    with pytest.raises(PolicyInvalid, match=r"\$\.reasoning_model: expected str matching"):
        parse_policy(content.encode(), "p.yaml")
