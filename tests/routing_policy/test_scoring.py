"""Logits to scores, with expected values worked out by hand."""

import numpy as np
import pytest

from routing_policy.scoring import ProblemType, scores_from_logits


@pytest.mark.parametrize(
    ("logits", "temperature", "problem_type", "expected"),
    [
        pytest.param([0.0, 0.0], 1.0, "single_label_classification", [0.5, 0.5], id="softmax of equals"),
        pytest.param([0.0, 1.0986123], 1.0, "single_label_classification", [0.25, 0.75], id="softmax of 1:3"),
        pytest.param([0.0, 2.1972246], 2.0, "single_label_classification", [0.25, 0.75], id="temperature softens"),
        pytest.param([1e4, -1e4], 1.0, "single_label_classification", [1.0, 0.0], id="softmax of extremes"),
        pytest.param([0.0, 1.0986123], 1.0, "multi_label_classification", [0.5, 0.75], id="sigmoid scores each label"),
        pytest.param([1e4, -1e4], 1.0, "multi_label_classification", [1.0, 0.0], id="sigmoid of extremes"),
    ],
)
def test_scores(logits: list[float], temperature: float, problem_type: ProblemType, expected: list[float]) -> None:
    scores = scores_from_logits(np.array([logits], dtype=np.float32), temperature, problem_type)

    assert scores[0].tolist() == pytest.approx(expected, abs=1e-6)
