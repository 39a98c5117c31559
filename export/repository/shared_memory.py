"""Shared memory that Triton's Python stubs leave in /dev/shm when they are killed: named, found and removed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies
_BACKENDS = ("python", "onnxruntime")  # the second one is Python as well, where the C++ one is missing


def region_prefix(owner: str) -> str:
    """Return how the names begin of all regions of `owner`, which stands for one server and those after it."""
    return f"semrouter-{hashlib.sha256(owner.encode()).hexdigest()[:12]}-"


def region_flags(prefix: str) -> list[str]:
    return [f"--backend-config={backend},shm-region-prefix-name={prefix}" for backend in _BACKENDS]


def remove_left_regions(prefix: str, directory: Path = _SHARED_MEMORY) -> int:
    """Remove what a dead server under `prefix` left; regions that a process still maps stay. Return how many went."""
    left = {str(region) for region in directory.glob(f"{prefix}*")}
    if not left:
        return 0
    removed = left - set(_mapped(left))
    for region in removed:
        Path(region).unlink(missing_ok=True)
    return len(removed)


def _mapped(regions: set[str]) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # it has ended, or is somebody else's
            continue
        yield from regions & {line.split(maxsplit=5)[-1] for line in lines}


def owner_here() -> str:
    """Return what stands for the server of this container or host."""
    return os.uname().nodename
