"""How many decisions to ask for at once: as many as Triton, as fast as it is now, answers within the budget.

By Little's law what is in flight is the rate times the time each takes. Neither is known beforehand, so the number is
found as TCP finds a window: more while answers come early, less once one comes late. What is beyond it is refused at
once, instead of waiting for an answer that nobody can use.
"""

import time
from collections.abc import Callable

import msgspec

_FIRST = 32.0
_SHARE_OF_BUDGET = 0.5  # an answer later than that shows that the last of a queue would come too late
_FEWEST = 2.0  # one that Triton works on and one that waits, else it rests between any two
_LEAST_DECREASE, _LARGEST_DECREASE = 0.9, 0.5
_LOST_SECONDS = 2.0  # no budget is longer: a call without an answer by then holds up nobody's place any more


class _Place(msgspec.Struct, frozen=True):
    """One decision in flight: when it began, and how many there were with it."""

    began: float
    in_flight: int


class DecisionLimit:
    """Knows the decisions in flight; `most` is the upper bound whatever the rate."""

    def __init__(self, *, most: int, budget_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(most)
        self._late_seconds = budget_seconds * _SHARE_OF_BUDGET
        self._clock = clock
        self._limit = min(_FIRST, self._most)
        self._places: dict[int, _Place] = {}
        self._taken = 0
        self._decreased_at: float | None = None
        self._is_reached = False

    @property
    def current(self) -> int:
        return int(self._limit)

    def has_room(self) -> bool:
        """Whether one more would be answered in time, as far as the last answers tell."""
        if len(self._places) < self.current:
            return True
        self._is_reached = True
        self._give_up_the_lost()
        return len(self._places) < self.current

    def begin(self) -> int:
        """Take a place and return it."""
        self._taken += 1
        self._places[self._taken] = _Place(self._clock(), len(self._places) + 1)
        return self._taken

    def answered(self, number: int) -> None:
        """Give a place back, and learn from the time that its decision took."""
        place = self._places.pop(number, None)
        if place is None:  # given up already
            return
        if self._clock() - place.began > self._late_seconds:
            self._decrease(place)
        elif self._is_reached:
            self._increase()

    def turned_away(self, number: int) -> None:
        """Give back the place of a decision for which Triton had no room itself."""
        if place := self._places.pop(number, None):
            self._decrease(place)

    def failed(self, number: int) -> None:
        """Give a place back; a failure says nothing of the time that decisions take."""
        self._places.pop(number, None)

    def _increase(self) -> None:
        """Double in the time of one answer until one is late, from then on add one in that time."""
        step = 1.0 if self._decreased_at is None else 1 / self._limit
        self._limit = min(self._limit + step, self._most)
        self._is_reached = len(self._places) + 1 >= self.current

    def _decrease(self, place: _Place) -> None:
        """Go down to what would have been in time, once for all the decisions that were under way together."""
        if self._decreased_at is not None and place.began < self._decreased_at:
            return
        now = self._clock()
        in_time = place.in_flight * self._late_seconds / max(now - place.began, self._late_seconds)
        least, largest = self._limit * _LEAST_DECREASE, self._limit * _LARGEST_DECREASE
        self._limit = max(min(_FEWEST, self._most), min(least, max(largest, in_time)))
        self._decreased_at = now

    def _give_up_the_lost(self) -> None:
        lost_before = self._clock() - _LOST_SECONDS
        while self._places:
            number, place = next(iter(self._places.items()))  # the oldest: they are in order
            if place.began > lost_before:
                return
            del self._places[number]
            self._decrease(place)
