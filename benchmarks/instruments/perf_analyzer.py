"""perf_analyzer, which drives every Triton row: in a closed loop, or open with Poisson arrivals."""

import subprocess
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.errors import MeasurementFailed
from benchmarks.table.bench import program

_TRIES = 2  # now and then it waits for ever for a request that was answered
_WAIT_SECONDS = 30
_SLOWEST_SECONDS = 0.1  # for each request; beyond that it hangs


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients saw. `rate` counts requests per second while all clients were busy."""

    p50_us: float
    p99_us: float
    rate: float


class _Request(msgspec.Struct, frozen=True):
    timestamp: int
    response_timestamps: list[int]


class _Experiment(msgspec.Struct, frozen=True):
    requests: list[_Request]


class _Export(msgspec.Struct, frozen=True):
    experiments: list[_Experiment]


class Client:
    """Asks the models of the Triton whose gRPC port is `port`; reports go to `folder`."""

    def __init__(self, port: int, folder: Path) -> None:
        self._url = f"127.0.0.1:{port}"
        self._file = folder / "perf_analyzer.json"

    def closed(self, model: str, inputs: Path, clients: int, requests: int) -> Report:
        """Keep `clients` requests under way until `requests` are done, at least ten of each client."""
        count = max(requests, 10 * clients)
        return read_report(self._run(model, inputs, count, ["--concurrency-range", str(clients)]), clients)

    def median_us(self, model: str, inputs: Path, requests: int) -> float:
        """Return the median latency of one client."""
        return self.closed(model, inputs, 1, requests).p50_us

    def rate(self, model: str, inputs: Path, clients: int, requests: int) -> float:
        return self.closed(model, inputs, clients, requests).rate

    def open(self, model: str, inputs: Path, rate: float, requests: int) -> Report:
        """Send requests at Poisson intervals whether or not earlier ones are answered."""
        arrivals = ["--request-rate-range", f"{rate:.0f}", "--request-distribution", "poisson", "--max-threads", "16"]
        return read_report(self._run(model, inputs, requests, arrivals), clients=1)

    def _run(self, model: str, inputs: Path, requests: int, load: list[str]) -> bytes:
        command = [str(program("perf_analyzer")), "-m", model, "-u", self._url, "-i", "grpc", "--async", *load]
        command += ["--input-data", str(inputs), "--request-count", str(requests)]
        command += ["--profile-export-file", str(self._file)]
        seconds = _WAIT_SECONDS + _SLOWEST_SECONDS * requests
        for _ in range(_TRIES):
            self._file.unlink(missing_ok=True)  # it refuses one that exists
            try:
                ran = subprocess.run(  # noqa: S603 - our own command, no shell
                    command, capture_output=True, text=True, check=False, timeout=seconds
                )
            except subprocess.TimeoutExpired:
                continue
            if ran.returncode or not self._file.exists():
                raise MeasurementFailed(f"perf_analyzer: {(ran.stderr or ran.stdout).strip().splitlines()[-1:]}")
            return self._file.read_bytes()
        raise MeasurementFailed(f"perf_analyzer: {model}: no end after {seconds:.0f} s, {_TRIES} times")


def read_report(export: bytes, clients: int) -> Report:
    """Read perf_analyzer's profile export.

    Its own throughput counts in whole seconds, and the mean latency is flattered by the last requests, which are
    asked by ever fewer clients; so the first and last `clients` answers are left out of the rate.
    """
    requests = msgspec.json.decode(export, type=_Export).experiments[-1].requests
    answered = sorted(request.response_timestamps[-1] for request in requests if request.response_timestamps)
    if len(answered) < len(requests) or len(answered) < 2 * clients + 2:
        raise MeasurementFailed(f"perf_analyzer: {len(answered)} of {len(requests)} requests were answered")
    took = np.array([request.response_timestamps[-1] - request.timestamp for request in requests]) / 1000
    busy = answered[clients : len(answered) - clients]
    return Report(
        p50_us=float(np.median(took)),
        p99_us=float(np.percentile(took, 99)),
        rate=(len(busy) - 1) / (busy[-1] - busy[0]) * 1e9,
    )
