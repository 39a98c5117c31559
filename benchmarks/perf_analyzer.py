"""perf_analyzer, which drives every Triton row: in a closed loop, or open with Poisson arrivals."""

import csv
import subprocess
from pathlib import Path

import msgspec

from .bench import program
from .errors import MeasurementFailed

_WAIT_SECONDS = 45
_PARTS_OF_LATENCY = (
    "Client Send",
    "Network+Server Send/Recv",
    "Server Queue",
    "Server Compute Input",
    "Server Compute Infer",
    "Server Compute Output",
    "Client Recv",
)
_TRIES = 2  # now and then it waits for ever for a request that was answered


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One line of perf_analyzer's CSV. Times are means but for p50 and p99, which the client saw."""

    mean_us: float
    p50_us: float
    p99_us: float
    queue_us: float
    compute_us: float

    def rate(self, clients: int) -> float:
        """Return requests per second in a closed loop, by Little's law: the tool itself counts in whole seconds."""
        return clients * 1e6 / self.mean_us


class Client:
    """Asks the models of the Triton whose gRPC port is `port`; reports go to `folder`."""

    def __init__(self, port: int, folder: Path) -> None:
        self._url = f"127.0.0.1:{port}"
        self._file = folder / "perf_analyzer.csv"

    def closed(self, model: str, inputs: Path, clients: int, requests: int) -> Report:
        """Keep `clients` requests under way until `requests` are done."""
        return self._run(model, inputs, requests, ["--concurrency-range", str(clients)])

    def median_us(self, model: str, inputs: Path, requests: int) -> float:
        """Return the median latency of one client."""
        return self.closed(model, inputs, 1, requests).p50_us

    def rate(self, model: str, inputs: Path, clients: int, requests: int) -> float:
        return self.closed(model, inputs, clients, requests).rate(clients)

    def open(self, model: str, inputs: Path, rate: float, requests: int) -> Report:
        """Send requests at Poisson intervals whether or not earlier ones are answered."""
        arrivals = ["--request-rate-range", f"{rate:.0f}", "--request-distribution", "poisson", "--max-threads", "16"]
        return self._run(model, inputs, requests, arrivals)

    def _run(self, model: str, inputs: Path, requests: int, load: list[str]) -> Report:
        self._file.unlink(missing_ok=True)
        command = [str(program("perf_analyzer")), "-m", model, "-u", self._url, "-i", "grpc", "--async"]
        command += ["--input-data", str(inputs), "--request-count", str(requests), "-f", str(self._file)]
        command += ["--percentile", "50", *load]
        for _ in range(_TRIES):
            try:
                ran = subprocess.run(  # noqa: S603 - our own command, no shell
                    command, capture_output=True, text=True, check=False, timeout=_WAIT_SECONDS
                )
            except subprocess.TimeoutExpired:
                continue
            if ran.returncode or not self._file.exists():
                raise MeasurementFailed(f"perf_analyzer: {(ran.stderr or ran.stdout).strip().splitlines()[-1:]}")
            return read_report(self._file.read_text(encoding="utf-8"))
        raise MeasurementFailed(f"perf_analyzer: {model}: no end after {_WAIT_SECONDS} s, {_TRIES} times")


def read_report(text: str) -> Report:
    """Read the CSV of one measurement."""
    lines = list(csv.DictReader(text.splitlines()))
    if not lines:
        raise MeasurementFailed("perf_analyzer: wrote no measurement")
    line = lines[-1]
    return Report(
        mean_us=sum(float(line[part]) for part in _PARTS_OF_LATENCY),
        p50_us=float(line["p50 latency"]),
        p99_us=float(line["p99 latency"]),
        queue_us=float(line["Server Queue"]),
        compute_us=sum(float(line[f"Server Compute {part}"]) for part in ("Input", "Infer", "Output")),
    )
