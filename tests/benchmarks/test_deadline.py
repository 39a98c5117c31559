"""Nothing runs for longer than it may."""

import threading

import pytest

from benchmarks.deadline import deadline
from benchmarks.errors import OutOfTime


def test_a_block_that_waits_for_ever_ends_when_its_time_is_over() -> None:
    with pytest.raises(OutOfTime, match="not done after 1 s"), deadline(1):
        threading.Event().wait()


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    with deadline(60):
        done = True

    assert done
