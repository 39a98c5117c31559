"""Tests of a policy: what passes, what fails with which words, and how scores given by hand are completed."""

import pytest

from local.errors import ScoresInvalid
from local.policy.cases import case_name, complete_scores, parse_scores, run_case
from routing_policy.policy_file import parse_policy
from routing_policy.policy_forms import CaseForm, ExpectationForm

BINARY = parse_policy(
    b"{reasoning_model: big, general_model: small, abstain_onprem_model: mid, threshold_min_conf: 0.6}", "policy.yaml"
)
RULES = parse_policy(
    b"""
abstain_onprem_model: mid
threshold_min_conf: 0.3
rules:
  - {when_any: [{label: math, min_conf: 0.5}, {label: code, min_conf: 0.5}], route_onprem_model: big, rationale: hard}
""",
    "policy.yaml",
)


@pytest.mark.parametrize(
    ("expect", "verdict", "detail"),
    [
        pytest.param(ExpectationForm(target="big"), "PASSED", "big, reasoning", id="target"),
        pytest.param(ExpectationForm(rationale="reasoning", winner="reasoning"), "PASSED", "big, reasoning", id="why"),
        pytest.param(
            ExpectationForm(target="small", rationale="reasoning"),
            "FAILED",
            "expected target small, got big (score of reasoning 0.9, 0.4 to spare at $.reasoning_cutoff 0.5; "
            "confidence 0.9, 0.3 to spare at $.threshold_min_conf 0.6)",
            id="one of two differs",
        ),
    ],
)
def test_a_case_passes_when_all_it_expects_is_decided(expect: ExpectationForm, verdict: str, detail: str) -> None:
    scores = {"reasoning": 0.9}

    result = run_case(BINARY, CaseForm(scores=scores, expect=expect), "a proof", scores)

    assert (result.name, result.verdict, result.detail) == ("a proof", verdict, detail)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(
            CaseForm(name="a proof", text="Prove it", expect=ExpectationForm(target="big")), "a proof", id="name"
        ),
        pytest.param(CaseForm(text="Prove it", expect=ExpectationForm(target="big")), "tests[3] Prove it", id="text"),
        pytest.param(
            CaseForm(scores={"math": 0.5}, expect=ExpectationForm(target="big")), 'tests[3] {"math":0.5}', id="scores"
        ),
    ],
)
def test_a_case_is_named_by_its_author_or_by_its_place_and_input(case: CaseForm, name: str) -> None:
    assert case_name(case, 3) == name


def test_one_score_of_the_binary_form_is_enough() -> None:
    assert complete_scores(BINARY, {"reasoning": 0.75}) == {"reasoning": 0.75, "non-reasoning": 0.25}
    assert complete_scores(BINARY, {"non-reasoning": 0.75}) == {"reasoning": 0.25, "non-reasoning": 0.75}


def test_labels_that_rules_name_and_nobody_gave_score_0() -> None:
    assert complete_scores(RULES, {"math": 0.7, "general": 0.2}) == {"code": 0.0, "math": 0.7, "general": 0.2}


def test_scores_of_other_labels_do_not_fit_the_binary_form() -> None:
    with pytest.raises(ScoresInvalid, match="expected reasoning or non-reasoning, got math"):
        complete_scores(BINARY, {"math": 0.7})


@pytest.mark.parametrize(
    "text", ["", "{", "0.7", "{}", '{"reasoning": 1.4}', '{"reasoning": "high"}', '{"reasoning": NaN}']
)
def test_scores_that_are_not_a_number_per_label_are_refused(text: str) -> None:
    with pytest.raises(ScoresInvalid, match=r'for example {"reasoning": 0.7}'):
        parse_scores(text)
