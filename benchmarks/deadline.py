"""Ends of what runs in the main thread, whatever it waits for: its time is over, or the whole run is stopped."""

import signal
import sys
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


def stop_in_order() -> None:
    """Make SIGTERM and Ctrl-C unwind the main thread, so that every server is stopped; a shell's `&` ignores Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
