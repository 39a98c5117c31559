"""Start Triton in its container: bring the serving copy up to date, then become tritonserver.

`refresh` as the only argument stops after the copy, so that another container can mount it read-only; any other
arguments are added to tritonserver's.
"""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from export.repository.serving_copy import advice_on, models_with_versions, refresh_serving_copy

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
GUARDED_APIS = "shared-memory,model-config,model-repository,statistics,trace,logging"
ADMIN_HEADER = "semrouter-admin"


def server_command(repository: Path, admin_token: str, extra: Sequence[str] = ()) -> list[str]:
    """Return the command that serves every model of `repository` that has a version; `extra` wins.

    What changes or inspects the server needs the header `semrouter-admin` (gRPC: `triton-grpc-protocol-` before it).
    Connections end after five minutes so that gRPC clients resolve again and find replicas that joined.
    """
    return [
        "tritonserver",
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models_with_versions(repository)),
        "--disable-auto-complete-config",
        "--exit-timeout-secs=20",
        "--log-format=ISO8601",
        "--http-port=8000",
        f"--http-restricted-api={GUARDED_APIS}:{ADMIN_HEADER}={admin_token}",
        "--grpc-port=8001",
        f"--grpc-restricted-protocol={GUARDED_APIS}:{ADMIN_HEADER}={admin_token}",
        "--grpc-infer-allocation-pool-size=64",
        "--grpc-max-connection-age=300000",
        "--grpc-max-connection-age-grace=30000",
        "--metrics-port=8002",
        "--backend-config=python,shm-default-byte-size=8388608",
        *extra,
    ]


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    if environ.get("SEMROUTER_MODEL_PATH"):
        sys.exit("SEMROUTER_MODEL_PATH: this image only serves; install the bundle with `semrouter bundle install`")
    repository = Path(environ["SEMROUTER_REPOSITORY"])
    if os.access(repository, os.W_OK):
        for left_out in refresh_serving_copy(SHIPPED, repository):
            print(advice_on(left_out), flush=True)  # noqa: T201 - the container's log
    if list(arguments) == ["refresh"]:
        return
    # Unknown to everybody when not given: then nobody can load models or register shared memory.
    admin_token = environ.get("SEMROUTER_TRITON_ADMIN_TOKEN") or secrets.token_urlsafe(32)
    command = server_command(repository, admin_token, arguments)
    pid_file = Path(environ["SEMROUTER_TRITON_PID_FILE"])
    pid_file.write_text(str(os.getpid()), encoding="ascii")
    pid_file.with_suffix(".answered").unlink(missing_ok=True)  # the probe's note of the server before this one
    os.execvp(command[0], command)  # noqa: S606 - becoming the server is the point


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
