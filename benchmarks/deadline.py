"""A limit on the time of anything that runs in the main thread, whatever it waits for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import OutOfTime


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raise OutOfTime in the block once `seconds` are over; servers it started are stopped on the way out."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
