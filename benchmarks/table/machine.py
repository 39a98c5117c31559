"""What a measurement ran on: numbers mean nothing without it."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

CHECKOUT = Path(__file__).resolve().parents[2]
_PACKAGES = ("nvidia-pytriton", "onnxruntime", "tokenizers", "aiohttp", "uvloop", "grpcio", "numpy")
_SHORT_COMMIT = 12


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    packages: dict[str, str]
    commit: str
    load_before: float  # processes that wanted a core in the last minute: above 0.3 something else was running


def describe_machine() -> Machine:
    return Machine(
        processor=_processor(Path("/proc/cpuinfo").read_text(encoding="utf-8")),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: found for name in _PACKAGES if (found := _installed(name))},
        commit=_git("rev-parse", "HEAD")[:_SHORT_COMMIT] + ("+" if _git("status", "--porcelain") else ""),
        load_before=round(os.getloadavg()[0], 2),
    )


def _processor(cpuinfo: str) -> str:
    names = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(CHECKOUT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - our own
