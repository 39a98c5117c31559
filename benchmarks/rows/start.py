"""How long `make run` takes until everything answers, on a machine where it ran before."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.instruments.servers import environment
from benchmarks.table.bench import Bench, Finding
from benchmarks.table.goals import Measured
from benchmarks.table.machine import CHECKOUT
from benchmarks.table.rounds import summary
from local.stack.processes import ManagedProcess, free_ports

_ROUNDS = 3
_READY = "The semantic router is ready"
_WAIT_SECONDS = 90


def measure(bench: Bench) -> Iterator[Finding]:
    """Start it the way a person does, with ports of its own; the first start warms and is not counted."""
    upstreams = bench.scratch / "upstreams.yaml"
    took = [_start(bench.scratch, upstreams, number) for number in range(_ROUNDS + 1)][1:]
    yield Measured(key="start.ready", value=summary(took), detail=f"{_ROUNDS} starts")


def _start(folder: Path, upstreams: Path, number: int) -> float:
    proxy, http, grpc, metrics, general, reasoning = free_ports(6)
    shipped = (CHECKOUT / "configs" / "upstreams.yaml").read_text(encoding="utf-8")
    upstreams.write_text(shipped.replace(":8100", f":{general}").replace(":8101", f":{reasoning}"), encoding="utf-8")
    arguments = f"--demo-upstreams --port {proxy} --triton-http-port {http} --triton-grpc-port {grpc}"
    arguments += f" --triton-metrics-port {metrics} --run-directory {folder / 'run'}"
    command = ["make", "-C", str(CHECKOUT), "run", f"UPSTREAMS={upstreams}", f"RUN_ARGUMENTS={arguments}"]
    started = time.perf_counter()
    with ManagedProcess("make-run", command, environment({}), folder / f"make-run-{number}.log") as run:
        run.wait_until(lambda: _READY in run.read_log(), _WAIT_SECONDS)
        took = time.perf_counter() - started
        # As Ctrl-C does: make, stopped first, would leave behind what it waits for.
        children = psutil.Process(run.pid).children()
        for child in children:
            child.send_signal(signal.SIGINT)
        psutil.wait_procs(children, _WAIT_SECONDS)
        return took
