"""Exit 0 if `semantic_router` answers a real inference within two seconds, 1 if not.

Triton's own readiness stays good with a dead Python stub (before 26.04) and fails during every load, so only an
inference tells. `--kill-after SECONDS` is for plain Docker, which never restarts an unhealthy container: once nothing
was answered for so long, tritonserver is killed and the restart policy brings it back. Kubernetes restarts by itself.
"""

import argparse
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

BODY = json.dumps(
    {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["Is the router answering?"]}]}
).encode()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v2/models/semantic_router/infer", BODY, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


def kill_if_silent(pid_file: Path, last_answer: Path, seconds: float) -> None:
    """Kill the server if it answered once and not again for `seconds`; one still starting is left alone."""
    if last_answer.exists() and time.time() - last_answer.stat().st_mtime > seconds:
        last_answer.unlink()
        pid = int(pid_file.read_text(encoding="ascii"))
        # Without an init the server is process 1, which nobody inside its container can kill.
        os.kill(pid, signal.SIGTERM if pid == 1 else signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--kill-after", type=float, metavar="SECONDS")
    arguments = parser.parse_args()
    pid_file = Path(os.environ["SEMROUTER_TRITON_PID_FILE"])
    last_answer = pid_file.with_suffix(".answered")
    if answers(arguments.url):
        last_answer.touch()
        return 0
    if arguments.kill_after is not None:
        kill_if_silent(pid_file, last_answer, arguments.kill_after)
    return 1


if __name__ == "__main__":
    sys.exit(main())
