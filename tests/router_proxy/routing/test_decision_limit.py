"""How many decisions are asked for at once, against a Triton of known speed on a clock that is moved by hand."""

import heapq

import pytest

from router_proxy.routing.decision_limit import DecisionLimit

BUDGET = 0.25


class Triton:
    """Answers one decision after another, each in the same time, to requests that come evenly."""

    def __init__(self, seconds_each: float) -> None:
        self.now = 100.0
        self.seconds_each = seconds_each
        self._free_at = 0.0
        self._answers: list[tuple[float, int, float]] = []

    def __call__(self) -> float:
        return self.now

    def ask(self, limit: DecisionLimit) -> bool:
        if not limit.has_room():
            return False
        self._free_at = max(self._free_at, self.now) + self.seconds_each
        heapq.heappush(self._answers, (self._free_at, limit.begin(), self.now))
        return True

    def until(self, end: float, limit: DecisionLimit) -> int:
        """Answer what is due by then, and return how many answers were within the budget."""
        in_time = 0
        while self._answers and self._answers[0][0] <= end:
            self.now, place, began = heapq.heappop(self._answers)
            limit.answered(place)
            in_time += self.now - began <= BUDGET
        self.now = end
        return in_time


def decided(triton: Triton, limit: DecisionLimit, *, per_second: float, seconds: float) -> int:
    """Return how many decisions came in time, of requests that come for so long."""
    in_time = 0
    for _ in range(int(per_second * seconds)):
        triton.ask(limit)
        in_time += triton.until(triton.now + 1 / per_second, limit)
    return in_time


@pytest.mark.parametrize("times_capacity", [1.5, 3, 10])
@pytest.mark.parametrize("seconds_each", [0.0005, 0.01, 0.1])
def test_under_more_load_than_triton_can_take_it_decides_nearly_as_many_as_it_can(
    seconds_each: float, times_capacity: float
) -> None:
    """Whatever the speed of the machine, and with nothing set for it."""
    triton = Triton(seconds_each)
    limit = DecisionLimit(most=1000, budget_seconds=BUDGET, clock=triton)
    capacity = 1 / seconds_each
    decided(triton, limit, per_second=times_capacity * capacity, seconds=5)

    in_time = decided(triton, limit, per_second=times_capacity * capacity, seconds=20)

    assert in_time >= 0.9 * 20 * capacity


def test_it_is_normal_again_at_once_after_an_overload() -> None:
    triton = Triton(0.01)
    limit = DecisionLimit(most=256, budget_seconds=BUDGET, clock=triton)
    decided(triton, limit, per_second=1000, seconds=20)
    triton.until(triton.now + 1, limit)

    in_time = decided(triton, limit, per_second=50, seconds=2)

    assert in_time >= 99


def test_it_follows_a_triton_that_becomes_slower() -> None:
    triton = Triton(0.001)
    limit = DecisionLimit(most=256, budget_seconds=BUDGET, clock=triton)
    decided(triton, limit, per_second=3000, seconds=5)
    triton.seconds_each = 0.02
    decided(triton, limit, per_second=150, seconds=10)

    in_time = decided(triton, limit, per_second=150, seconds=10)

    assert in_time >= 0.9 * 10 / 0.02


def test_it_never_asks_for_more_than_the_most() -> None:
    triton = Triton(0.0001)
    limit = DecisionLimit(most=3, budget_seconds=BUDGET, clock=triton)

    assert [triton.ask(limit) for _ in range(5)] == [True, True, True, False, False]


def test_decisions_that_never_come_hold_up_their_places_only_while_somebody_could_wait_for_them() -> None:
    triton = Triton(3600)
    limit = DecisionLimit(most=2, budget_seconds=BUDGET, clock=triton)
    triton.ask(limit)
    triton.ask(limit)

    assert not limit.has_room()
    triton.now += 3
    assert limit.has_room()


def test_a_triton_whose_own_queue_is_full_is_asked_for_less() -> None:
    limit = DecisionLimit(most=256, budget_seconds=BUDGET)
    before = limit.current

    limit.turned_away(limit.begin())

    assert 1 <= limit.current < before
