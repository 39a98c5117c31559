"""The folder in which workers share their metrics: removed by whoever leaves it last, however the others ended."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PREFIX = "semrouter-metrics-"
_LOCK = "in-use"  # held, shared, by the parent and each worker


@contextmanager
def new_metrics_folder() -> Iterator[str]:
    """Make a folder for a parent and its workers, after removing those of parents and workers that were all killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_unless_used(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    begun = folder / f".{_LOCK}"
    with begun.open("w+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # before others can see it
        begun.rename(folder / _LOCK)
        with use_metrics_folder(str(folder)):
            lock.close()
            yield str(folder)


@contextmanager
def use_metrics_folder(folder: str) -> Iterator[None]:
    """Hold on to `folder`, and remove it at the end if nobody else does."""
    held = _open_lock(Path(folder))
    try:
        if held is not None:
            fcntl.flock(held, fcntl.LOCK_SH)
        yield
    finally:
        if held is not None:
            held.close()
        _remove_unless_used(Path(folder))


def _remove_unless_used(folder: Path) -> None:
    lock = _open_lock(folder)
    if lock is None:
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        shutil.rmtree(folder, ignore_errors=True)


def _open_lock(folder: Path) -> IO[bytes] | None:
    """Open a folder's lock; None where there is none, or it is somebody else's."""
    try:
        return (folder / _LOCK).open("r+b")
    except OSError:
        return None
