"""Leaving a failing peer alone: after some failures in a row, one try per pause until one succeeds."""

import time
from collections.abc import Callable


class Breaker:
    """Closed while calls succeed. Open, it lets a single try through per pause."""

    def __init__(self, *, failures: int, pause_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures_in_a_row = 0
        self._next_try = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures_in_a_row >= self._limit

    @property
    def would_admit(self) -> bool:
        return not self.is_open or self._clock() >= self._next_try

    def admits(self) -> bool:
        """Whether to call now; while open, a yes is this pause's one try and starts the next pause."""
        if not self.would_admit:
            return False
        if self.is_open:
            self._next_try = self._clock() + self._pause_seconds
        return True

    def succeeded(self) -> None:
        self._failures_in_a_row = 0

    def failed(self) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row == self._limit:
            self._next_try = self._clock() + self._pause_seconds
