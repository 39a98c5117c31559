"""How tritonserver is started, in the container and without one: the flags both share, and a secret that `ps` hides."""

import os
import secrets
import time
from pathlib import Path

from .serving_copy import models_with_versions

ADMIN_HEADER = "semrouter-admin"
# Whoever may load a model runs code in the server; whoever registers shared memory reads that of others.
CHANGING_APIS = ("shared-memory", "model-repository", "trace", "logging")
INSPECTING_APIS = ("model-config", "statistics")
TOKEN_FILE = "triton-token"  # noqa: S105 - a file's name; it lies beside the repository, for its owner to read
_PARSED_SECONDS = 10.0


def serving_flags(repository: Path, admin_token: str, guarded_apis: tuple[str, ...]) -> list[str]:
    """Return the flags that serve every model of `repository` that has a version.

    Explicit model control, because bundles are swapped by loading; no auto-completion, because it would import every
    Python model twice. The guarded APIs want the header `semrouter-admin` (gRPC: `triton-grpc-protocol-` before it).
    """
    guard = f"{','.join(guarded_apis)}:{ADMIN_HEADER}={admin_token}"
    return [
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models_with_versions(repository)),
        "--disable-auto-complete-config",
        "--grpc-infer-allocation-pool-size=64",
        "--backend-config=python,shm-default-byte-size=8388608",
        f"--http-restricted-api={guard}",
        f"--grpc-restricted-protocol={guard}",
    ]


def write_token(file: Path) -> str:
    """Make a new token for a server about to start, and leave it in `file` for `semrouter bundle install`."""
    token = secrets.token_urlsafe(32)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # its mode may have been another
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as written:
        written.write(token)
    return token


def read_token(repository: Path) -> str | None:
    """Return the token of the server that serves `repository` on this machine; None where it left none."""
    try:
        return (repository.parent / TOKEN_FILE).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def hide_argument(pid: int, secret: str) -> bool:
    """Write stars over `secret` in the command line of our child `pid`, which every user of the machine can read.

    tritonserver takes such a token as an argument only, and has copied its arguments once it has a second thread.
    Returns False where the system does not let a parent write there: then the server is guarded, but `ps` shows how.
    """
    try:
        _wait_for_second_thread(pid)
        start, end = _argument_area(pid)
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            arguments = memory.read(end - start)
            memory.seek(start)
            memory.write(arguments.replace(secret.encode(), b"*" * len(secret)))
    except OSError:
        return False
    return True


def _wait_for_second_thread(pid: int) -> None:
    deadline = time.monotonic() + _PARSED_SECONDS
    while time.monotonic() < deadline:
        if len(list(Path(f"/proc/{pid}/task").iterdir())) > 1:
            return
        time.sleep(0.001)


def _argument_area(pid: int) -> tuple[int, int]:
    """Return where the arguments lie in the memory of `pid`: arg_start and arg_end of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[45]), int(fields[46])
