"""Start Triton in its container: bring the serving copy up to date, then run tritonserver.

`refresh` as the only argument stops after the copy, so that another container can mount it read-only; any other
arguments are added to tritonserver's.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.repository.broken_versions import set_aside_broken_versions
from export.repository.serving_copy import advice_on, refresh_serving_copy
from export.repository.shared_memory import owner_here, region_flags, region_prefix, remove_left_regions
from export.repository.triton_flags import CHANGING_APIS, INSPECTING_APIS, hide_argument, serving_flags

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


def server_command(repository: Path, admin_token: str, extra: Sequence[str] = ()) -> list[str]:
    """Return the command that serves every model of `repository` that has a version; `extra` wins.

    What changes or inspects the server wants the token. Connections end after five minutes so that gRPC clients resolve
    again and find replicas that joined.
    """
    return [
        "tritonserver",
        *serving_flags(repository, admin_token, (*CHANGING_APIS, *INSPECTING_APIS)),
        "--exit-timeout-secs=20",
        "--log-format=ISO8601",
        "--http-port=8000",
        "--grpc-port=8001",
        "--grpc-max-connection-age=300000",
        "--grpc-max-connection-age-grace=30000",
        "--metrics-port=8002",
        *region_flags(region_prefix(owner_here())),
        *extra,
    ]


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    if environ.get("SEMROUTER_MODEL_PATH"):
        sys.exit("SEMROUTER_MODEL_PATH: this image only serves; install the bundle with `semrouter bundle install`")
    repository = Path(environ["SEMROUTER_REPOSITORY"])
    if os.access(repository, os.W_OK):
        for left_out in refresh_serving_copy(SHIPPED, repository):
            print(advice_on(left_out), flush=True)  # noqa: T201 - the container's log
        for told in set_aside_broken_versions(repository):
            print(told, flush=True)  # noqa: T201 - the container's log
    if list(arguments) == ["refresh"]:
        return
    # Unknown to everybody when not given: then nobody can load models or register shared memory.
    admin_token = environ.get("SEMROUTER_TRITON_ADMIN_TOKEN") or secrets.token_urlsafe(32)
    command = server_command(repository, admin_token, arguments)
    pid_file = Path(environ["SEMROUTER_TRITON_PID_FILE"])
    pid_file.with_suffix(".health").unlink(missing_ok=True)  # the probe's notes on the server before this one
    remove_left_regions(region_prefix(owner_here()))  # a pod's /dev/shm outlives its containers
    sys.exit(run_server(command, admin_token, pid_file))


def run_server(command: Sequence[str], admin_token: str, pid_file: Path) -> int:
    """Run tritonserver as a child, which has its token hidden, and pass on the signals that stop a container."""
    server = subprocess.Popen(command)  # noqa: S603 - our own command, no shell
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: server.send_signal(received))
    pid_file.write_text(str(server.pid), encoding="ascii")
    hide_argument(server.pid, admin_token)
    code = server.wait()
    return code if code >= 0 else 128 - code  # as a shell says which signal ended it


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
