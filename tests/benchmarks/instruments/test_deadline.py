"""Nothing runs for longer than it may, and nothing is left behind."""

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from benchmarks.errors import OutOfTime
from benchmarks.instruments.deadline import deadline, run_apart
from tests.conftest import CHECKOUT

RUN = """
import sys, threading
from pathlib import Path
from benchmarks.instruments.deadline import stop_in_order
from local.stack.processes import ManagedProcess

stop_in_order()
with ManagedProcess("child", ["sleep", "600"], {}, Path(sys.argv[1])) as child:
    print(child.pid, flush=True)
    threading.Event().wait()
"""


def test_a_block_that_waits_for_ever_ends_when_its_time_is_over() -> None:
    with pytest.raises(OutOfTime, match="not done after 1 s"), deadline(1):
        threading.Event().wait()


def test_a_loop_that_is_always_busy_ends_then_too() -> None:
    async def work() -> None:
        await asyncio.sleep(2)

    with pytest.raises(OutOfTime), deadline(1):
        run_apart(work())


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    with deadline(60):
        done = True

    assert done


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_stops_its_servers(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "child.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())

        run.send_signal(number)

        assert run.wait(60) == 128 + number
    assert not psutil.pid_exists(child)
