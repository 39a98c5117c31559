"""Ends of what runs in the main thread, whatever it waits for: its time is over, or the whole run is stopped."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import uvloop

from benchmarks.errors import OutOfTime

Answer = TypeVar("Answer")


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


def run_apart(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run `work` in another thread: uvloop swallows what a signal raises while a protocol reads."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_run, work).result()


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def stop_in_order() -> None:
    """Make SIGTERM and Ctrl-C unwind the main thread, so that every server is stopped; a shell's `&` ignores Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
