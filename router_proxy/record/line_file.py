"""A file of lines that several processes append to, and the thread by which no request waits for a disk."""

import errno
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

LOG = logging.getLogger("semrouter.proxy")
_CLOSE_SECONDS = 5.0
_QUIET_SECONDS = 60.0  # a disk that stays full is reported once, and again after so long without failures
_PERMISSIONS = 0o640


class LineFile:
    """Rotated by size: `path` is written, `path.1` is the part before it; at most `parts` files, `path` included.

    Each line is one write with O_APPEND, so that lines of several processes never mix; who rotates holds a lock on the
    folder. A file moved by somebody else is noticed.
    """

    def __init__(self, path: Path, *, limit_bytes: int, parts: int) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._parts = parts
        self._descriptor: int | None = None

    def append(self, line: bytes) -> None:
        """Append `line`, which ends in a line feed; OSError says why that was not possible."""
        descriptor = self._opened()
        size = os.fstat(descriptor).st_size
        if size and size + len(line) > self._limit_bytes:
            self._rotate(descriptor)
        if os.write(self._opened(), line) < len(line):
            self.close()  # opening it again ends the line that was cut short
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is not None and self._was_moved(self._descriptor):
            self.close()
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _PERMISSIONS)
            _end_last_line(self._descriptor)
        return self._descriptor

    def _was_moved(self, descriptor: int) -> bool:
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(descriptor))  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return True

    def _rotate(self, descriptor: int) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not self._was_moved(descriptor):  # else another process was faster
                self._shift_parts()
        finally:
            os.close(folder)

    def _shift_parts(self) -> None:
        suffixes = (part.suffix[1:] for part in self.path.parent.glob(f"{self.path.name}.*"))
        for number in sorted((int(suffix) for suffix in suffixes if suffix.isdigit()), reverse=True):
            if number >= self._parts - 1:
                self._part(number).unlink()
            else:
                self._part(number).rename(self._part(number + 1))
        self.path.rename(self._part(1))

    def _part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _end_last_line(descriptor: int) -> None:
    """Keep a line that a crash or a full disk cut short from swallowing the next one."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


class LineWriter:
    """Writes lines in the order they come; what does not fit in `queue_bytes` or on the disk goes to `dropped`.

    `dropped` is called with the reason, from either thread.
    """

    def __init__(self, file: LineFile, *, queue_bytes: int, dropped: Callable[[str], None]) -> None:
        self._file = file
        self._queue_bytes = queue_bytes
        self._dropped = dropped
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._failed_at = -_QUIET_SECONDS
        self._thread = threading.Thread(target=self._work, name="decision log", daemon=True)
        self._thread.start()

    def submit(self, line: bytes) -> None:
        """Take over `line`; never waits for the disk."""
        with self._changed:
            fits = self._waiting_bytes + len(line) <= self._queue_bytes
            if fits:
                self._waiting.append(line)
                self._waiting_bytes += len(line)
                self._changed.notify()
        if not fits:
            self._dropped("queue_full")

    def close(self) -> None:
        """Write what waits; a disk that hangs is given up after some seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            LOG.error("decision log %s: given up with %s lines to write", self._file.path, len(self._waiting))

    def _work(self) -> None:
        while (line := self._next()) is not None:
            try:
                self._file.append(line)
            except OSError as error:
                self._failed(error)
        self._file.close()

    def _next(self) -> bytes | None:
        """Wait for the next line; None once there is none left and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            line = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            return line

    def _failed(self, error: OSError) -> None:
        self._dropped("not_written")
        now = time.monotonic()
        if now - self._failed_at > _QUIET_SECONDS:
            LOG.error("decision log %s: %s; lines are dropped and counted", self._file.path, error.strerror or error)
        self._failed_at = now
