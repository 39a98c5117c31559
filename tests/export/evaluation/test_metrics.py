import numpy as np
import pytest

from export.evaluation.metrics import (
    METRICS,
    Figure,
    accuracy,
    auroc,
    brier,
    calibration_bins,
    calibration_error,
    confusion,
    macro_f1,
    mean_with_interval,
    wilson,
    with_interval,
)

SCORES = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
TRUTH = np.array([0, 1, 1, 0])


def test_confusion_counts_truth_down_and_decision_across() -> None:
    assert confusion(SCORES, TRUTH).tolist() == [[1, 1], [1, 1]]


def test_accuracy_and_f1_of_half_right_rows() -> None:
    assert accuracy(SCORES, TRUTH) == 0.5
    assert macro_f1(SCORES, TRUTH) == pytest.approx(0.5)


def test_f1_leaves_out_a_label_nobody_mentions() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])

    assert macro_f1(scores, np.array([0, 1])) == 1.0


@pytest.mark.parametrize(
    ("score", "truth", "expected"),
    [
        pytest.param([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0, id="ordered"),
        pytest.param([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0, id="reversed"),
        pytest.param([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1], 0.5, id="all tied"),
        pytest.param([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], 0.75, id="one pair out of order"),
    ],
)
def test_auroc_is_the_share_of_pairs_in_order(score: list[float], truth: list[int], expected: float) -> None:
    positive = np.array(score)

    assert auroc(np.stack([1 - positive, positive], axis=1), np.array(truth)) == pytest.approx(expected)


def test_auroc_of_one_class_is_not_a_number() -> None:
    assert np.isnan(auroc(SCORES, np.zeros(4, dtype=np.int64)))


def test_brier_is_zero_for_sure_and_right_and_two_for_sure_and_wrong() -> None:
    sure = np.array([[1.0, 0.0]])

    assert brier(sure, np.array([0])) == 0.0
    assert brier(sure, np.array([1])) == 2.0


def test_calibration_compares_confidence_with_how_often_it_is_right() -> None:
    scores = np.array([[0.8, 0.2]] * 4 + [[0.62, 0.38]] * 2)
    truth = np.array([0, 0, 0, 1, 0, 1])

    bins = calibration_bins(scores, truth)

    assert [(each.accuracy, each.rows) for each in bins] == [(0.5, 2), (0.75, 4)]
    assert [each.confidence for each in bins] == pytest.approx([0.62, 0.8])
    assert calibration_error(scores, truth) == pytest.approx((2 * 0.12 + 4 * 0.05) / 6)


@pytest.mark.parametrize("name", METRICS)
def test_an_interval_holds_its_value_and_is_the_same_each_time(name: str) -> None:
    generator = np.random.default_rng(1)
    scores = generator.dirichlet([1, 1, 1], size=200)
    truth = np.array([generator.choice(3, p=row) for row in scores])

    first, second = (with_interval(METRICS[name], scores, truth, 100) for _ in range(2))

    assert first == second
    assert first.low < first.value < first.high or name == "ece"


def test_the_mean_of_equal_rows_has_no_width() -> None:
    assert mean_with_interval(np.ones(5, dtype=bool), 50) == Figure(value=1.0, low=1.0, high=1.0)


def test_a_small_group_that_is_all_right_is_not_certain() -> None:
    figure = wilson(np.ones(4, dtype=bool))

    assert figure.value == 1.0
    assert figure.high == 1.0
    assert figure.low == pytest.approx(0.51, abs=0.01)
