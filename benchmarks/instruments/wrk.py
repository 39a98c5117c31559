"""wrk, the load generator of the HTTP rows: closed loop, one thread, next to no cost of its own."""

import os
import subprocess
from pathlib import Path

import msgspec

from benchmarks.errors import MeasurementFailed
from benchmarks.table.bench import TOOLS, program

from .servers import MODEL

_SCRIPT = Path(__file__).with_name("chat.lua")
_WAIT_SECONDS = 60


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of wrk came to. Latencies are to the last byte."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    failed: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def load(
    port: int, *, connections: int, seconds: int, mode: str = "off", model: str = MODEL, text: str = "same"
) -> Load:
    """Ask the server on `port` for chat completions; a run with a failed request measures nothing."""
    command = [str(program("wrk")), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}/v1/chat/completions", "--", mode, model, text]
    libraries = next((TOOLS / "debian" / "usr" / "lib").glob("*/libluajit-5.1.so.2")).parent
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    ran = subprocess.run(  # noqa: S603 - our own command, no shell
        command, env=environment, capture_output=True, text=True, check=False, timeout=seconds + _WAIT_SECONDS
    )
    return read_load(ran.stdout + ran.stderr)


def read_load(output: str) -> Load:
    """Read the line that chat.lua prints at the end."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise MeasurementFailed(f"wrk: {output.strip() or 'printed nothing'}")
    found = msgspec.json.decode(lines[-1], type=Load)
    if not found.requests:
        raise MeasurementFailed(f"wrk: no request was answered within {found.seconds:.1f} s")
    if found.failed:
        raise MeasurementFailed(f"wrk: {found.failed} of {found.requests} requests failed")
    return found
