"""Is Triton alive? It is while it makes progress; and it is sick while its answers to texts of ours fail in part.

Its own readiness stays good with a dead Python stub (before 26.04) and fails during every load, so inferences tell.
But a probe waits in the queue like any request, so that a server that is only busy would miss a limit. Decisions that
are counted are progress as well, and only a server without either for `SILENT_SECONDS` is taken for dead. One dead stub
of two fails a share of the requests for ever: it stays as a zombie of the server, which never replaces it, and where
that cannot be seen, several probes at once find it when failures are counted.
"""

import json
import os
import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

SILENT_SECONDS = 10.0
SICK_SECONDS = 5.0  # a load or a swap of versions may fail a request, but not for so long
_PROBE_SECONDS, _METRICS_SECONDS = 2.0, 1.0
_AT_ONCE = 8  # so that each instance gets one of them
_OVERLOADED = 503
_COUNTED = re.compile(r'^nv_inference_request_(success|failure)\{model="semantic_router".*\} (\S+)$', re.MULTILINE)
_BODY = json.dumps(
    {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["Is the router answering?"]}]}
).encode()


class Probe(Enum):
    """How one inference went; `BUSY` when Triton has no room or needs longer than we wait."""

    ANSWERED = "answered"
    FAILED = "failed"
    BUSY = "busy"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class Health:
    """What the looks so far have shown; times are of the monotonic clock, which all processes of a machine share."""

    succeeded: float | None = None
    failed: float = 0.0
    progressed_at: float
    sick_since: float | None = None

    def complaint(self, now: float, silent_seconds: float = SILENT_SECONDS) -> str | None:
        """Say why the server is to be restarted, None where it is not."""
        if now - self.progressed_at > silent_seconds:
            return f"made no progress for {now - self.progressed_at:.0f} s"
        if self.sick_since is not None and now - self.sick_since > SICK_SECONDS:
            return f"failed a share of its requests for {now - self.sick_since:.0f} s"
        return None


@dataclass(frozen=True, kw_only=True)
class TritonPlace:
    """Where a Triton answers and counts, without a slash at the end."""

    url: str
    metrics_url: str

    def probe(self) -> Probe:
        """Ask for a real decision."""
        try:
            with urllib.request.urlopen(f"{self.url}/v2/models/semantic_router/infer", _BODY, timeout=_PROBE_SECONDS):  # noqa: S310 - our own URL
                return Probe.ANSWERED
        except urllib.error.HTTPError as error:
            with error:
                return Probe.BUSY if error.code == _OVERLOADED else Probe.FAILED
        except TimeoutError:
            return Probe.BUSY
        except OSError as error:  # a URLError, which hides what was the matter
            return Probe.BUSY if isinstance(getattr(error, "reason", None), TimeoutError) else Probe.UNREACHABLE

    def answers(self) -> bool:
        return self.probe() is Probe.ANSWERED

    def counted(self) -> tuple[float, float] | None:
        """Return how many decisions succeeded and how many failed since the start; None where it cannot be read."""
        try:
            with urllib.request.urlopen(f"{self.metrics_url}/metrics", timeout=_METRICS_SECONDS) as answer:  # noqa: S310 - our own URL
                text = answer.read().decode("utf-8", "replace")
        except OSError:
            return None
        sums = {"success": 0.0, "failure": 0.0}
        for kind, value in _COUNTED.findall(text):
            sums[kind] += float(value)
        return sums["success"], sums["failure"]


def look(place: TritonPlace, before: Health, now: float, pid: int | None = None) -> Health:
    """Look once; `before` is what the last look returned, `now` the time by the same clock, `pid` the server's."""
    counted = place.counted()
    health = before
    if counted is not None:
        if before.succeeded is not None and counted[0] > before.succeeded:
            health = replace(health, progressed_at=now)
        health = replace(health, succeeded=counted[0])
        if counted[1] > before.failed or before.sick_since is not None or has_dead_stub(pid):
            is_sick = has_dead_stub(pid) or _fails_in_part(place)
            health = replace(health, sick_since=(before.sick_since or now) if is_sick else None)
            counted = place.counted() or counted
        health = replace(health, failed=counted[1])
    if health.progressed_at < now and place.answers():
        health = replace(health, progressed_at=now)
    return health


def has_dead_stub(pid: int | None) -> bool:
    """Whether a Python stub of the server `pid` has died: the fields are those of proc_pid_stat(5)."""
    for file in Path("/proc").glob("[0-9]*/stat") if pid is not None else ():
        try:
            name, _, fields = file.read_text(encoding="utf-8", errors="replace").rpartition(") ")
        except OSError:  # it has ended meanwhile
            continue
        state, parent = fields.split()[:2]
        if state == "Z" and int(parent) == pid and "(triton_python" in name:
            return True
    return False


def _fails_in_part(place: TritonPlace) -> bool:
    """Ask several texts of ours at once: failures that are counted may be those of texts that nobody could judge."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        probes = [threads.submit(place.probe) for _ in range(_AT_ONCE)]
        return any(each.result() is Probe.FAILED for each in probes)


def read_health(file: Path) -> Health | None:
    """Return what a look left in `file` for the next one; None where none did."""
    try:
        return Health(**json.loads(file.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError):
        return None


def write_health(file: Path, health: Health) -> None:
    """Leave `health` for the next look, whole or not at all."""
    begun = file.with_suffix(f".{os.getpid()}.tmp")
    begun.write_text(json.dumps(asdict(health)), encoding="ascii")
    begun.replace(file)
