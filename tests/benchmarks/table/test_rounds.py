"""The arithmetic between the rounds and a row."""

from collections.abc import Sequence

import pytest

from benchmarks.table.rounds import Estimate, added, exponent, interleave, ratio

SIZES = (1, 10, 100)


def test_subjects_are_measured_in_turns() -> None:
    order: list[str] = []

    def measure(subject: str) -> float:
        order.append(subject)
        return len(order)

    found = interleave({"a": "A", "b": "B"}, measure, rounds=2)

    assert order == ["A", "B", "A", "B"]
    assert found == {"a": [1, 3], "b": [2, 4]}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ratio([10, 30, 8], [10, 10, 4]) == Estimate(value=2, low=1, high=3)


def test_what_is_added_is_taken_round_by_round() -> None:
    assert added([5, 9], [2, 3]) == [3, 6]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        pytest.param([7, 7, 8], 0, id="constant"),
        pytest.param([5, 14, 104], 1.04, id="linear on top of a fixed cost"),
        pytest.param([1, 100, 10_000], 2, id="quadratic"),
    ],
)
def test_the_exponent_tells_how_cost_grows(costs: Sequence[float], expected: float) -> None:
    assert exponent(SIZES, costs) == pytest.approx(expected, abs=0.01)
