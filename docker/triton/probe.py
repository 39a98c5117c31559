"""Exit 0 while Triton is alive, 1 if not: `export.repository.triton_health` says what that means.

Before it has answered once, only an answer counts. `--kill-after SECONDS` is for plain Docker, which never restarts an
unhealthy container: a server without progress for so long, or one that fails a share of its requests, is killed and the
restart policy brings it back. Kubernetes restarts by itself.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from export.repository.triton_health import SILENT_SECONDS, Health, TritonPlace, look, read_health, write_health


def kill(pid_file: Path) -> None:
    pid = int(pid_file.read_text(encoding="ascii"))
    # Without an init the server is process 1, which nobody inside its container can kill.
    os.kill(pid, signal.SIGTERM if pid == 1 else signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--metrics-url", default="http://127.0.0.1:8002")
    parser.add_argument("--kill-after", type=float, metavar="SECONDS")
    arguments = parser.parse_args()
    pid_file = Path(os.environ["SEMROUTER_TRITON_PID_FILE"])
    notes = pid_file.with_suffix(".health")
    place = TritonPlace(url=arguments.url, metrics_url=arguments.metrics_url)
    now = time.monotonic()
    before = read_health(notes)
    if before is None:
        if not place.answers():
            return 1
        before = Health(progressed_at=now)
    health = look(place, before, now, int(pid_file.read_text(encoding="ascii")))
    write_health(notes, health)
    complaint = health.complaint(now, arguments.kill_after or SILENT_SECONDS)
    if complaint is None:
        return 0
    print(f"tritonserver {complaint}")  # noqa: T201 - what `docker inspect` and `kubectl describe` show
    if arguments.kill_after is not None:
        notes.unlink()
        kill(pid_file)
    return 1


if __name__ == "__main__":
    sys.exit(main())
