import numpy as np
import pytest

from export.outcomes.curve import (
    Ranking,
    area,
    calls_for,
    curve_points,
    draw_counts,
    excludes_zero,
    mean,
    with_interval,
)

GAIN = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
ONES = np.ones((1, 8))


def apgr(scores: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(area(Ranking(scores), ONES, ONES * GAIN)[0])


def test_the_oracle_recovers_everything_with_the_calls_that_gain() -> None:
    ranking = Ranking(GAIN)

    assert apgr(GAIN) == pytest.approx(0.875)  # a triangle over the first quarter, and 1 from there on
    assert calls_for(ranking, ONES, GAIN, 0.5)[0] == pytest.approx(0.125)
    assert calls_for(ranking, ONES, GAIN, 0.8)[0] == pytest.approx(0.2)
    assert calls_for(ranking, ONES, GAIN, 1.0)[0] == pytest.approx(0.25)


def test_one_score_for_all_is_chance() -> None:
    ranking = Ranking(np.zeros(8))

    assert apgr(np.zeros(8)) == pytest.approx(0.5)
    assert calls_for(ranking, ONES, GAIN, 0.8)[0] == pytest.approx(0.8)


def test_the_worst_order_is_as_far_below_chance_as_the_best_is_above() -> None:
    assert apgr(-GAIN) == pytest.approx(1 - apgr(GAIN))


def test_random_scores_are_chance_within_their_interval() -> None:
    generator = np.random.default_rng(1)
    gain, scores = generator.integers(0, 2, 2000).astype(float), generator.random(2000)
    ranking = Ranking(scores)

    figure = with_interval(lambda weights: area(ranking, weights, weights * gain), draw_counts(2000, 200))

    assert figure.low < 0.5 < figure.high
    assert figure.high - figure.low < 0.06


def test_harm_counts_against_a_ranking() -> None:
    gain = np.array([-1.0, 1.0, 1.0, 1.0])
    ones = np.ones((1, 4))

    assert area(Ranking(np.array([4.0, 3, 2, 1])), ones, ones * gain)[0] < 0.5
    assert calls_for(Ranking(np.array([4.0, 3, 2, 1])), ones, gain, 0.5)[0] == pytest.approx(0.75)


def test_by_cost_a_dear_call_takes_more_of_the_axis() -> None:
    extra = np.array([[8.0, 1, 1, 1, 8, 1, 1, 1]])

    assert area(Ranking(GAIN), extra, ONES * GAIN)[0] == pytest.approx(1 - 0.5 * 16 / 22)


def test_a_stronger_model_that_is_none_has_no_area() -> None:
    figure = with_interval(lambda weights: area(Ranking(GAIN), weights, -weights * GAIN), draw_counts(8, 20))

    assert np.isnan([figure.value, figure.low, figure.high]).all()
    assert not excludes_zero(figure)


def test_weights_count_as_repeated_rows_do() -> None:
    scores, gain = np.array([0.9, 0.5, 0.1]), np.array([1.0, 0.0, 0.5])
    weights = np.array([[2.0, 0, 3]])
    repeated = [0, 0, 2, 2, 2]
    ones = np.ones((1, 5))

    weighted = area(Ranking(scores), weights, weights * gain)
    plain = area(Ranking(scores[repeated]), ones, ones * gain[repeated])

    assert weighted == pytest.approx(plain)
    assert mean(weights, gain) == pytest.approx(gain[repeated].mean())


def test_the_curve_runs_from_nothing_to_everything() -> None:
    points = curve_points(Ranking(GAIN), np.ones(8), GAIN, points=5)

    assert points == [(0, 0), (0.25, 1), (0.5, 1), (0.75, 1), (1, 1)]
