"""The guide's MockClassifier: four keywords decide."""

import pytest

from routing_policy.keywords import keyword_scores


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        ("Prove that the square root of 2 is irrational.", "reasoning"),
        ("Please CALCULATE this", "reasoning"),
        ("Use logic to deduce it", "reasoning"),
        ("What is the capital of France?", "non-reasoning"),
        ("", "non-reasoning"),
    ],
)
def test_a_keyword_means_reasoning(text: str, winner: str) -> None:
    scores = keyword_scores(text, ["non-reasoning", "reasoning"])

    assert scores[winner] == 0.9
    assert sum(scores.values()) == pytest.approx(1)


def test_under_a_rules_policy_everything_else_is_general() -> None:
    scores = keyword_scores("What is the capital of France?", ["code", "general", "math", "reasoning"])

    assert scores == pytest.approx({"code": 0.1 / 3, "general": 0.9, "math": 0.1 / 3, "reasoning": 0.1 / 3})
