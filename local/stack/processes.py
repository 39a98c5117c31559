"""Child processes with a log file each, stopped together with everything they started themselves."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from local.errors import StartFailed

POLL_SECONDS = 0.1


class ManagedProcess:
    """A child in a process group of its own: Ctrl-C reaches only the parent, which stops children in order."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C while it starts, above all: nothing may stay behind
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StartFailed(f"{self.name}: not started")
        return self._process.pid

    def start(self) -> None:
        with _open_log(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, grace_seconds: float = 15) -> None:
        """Send SIGTERM, wait, then SIGKILL whatever is left of the group."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_seconds)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def wait_until(self, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Return once `is_ready()`; StartFailed when the process ends first or the time is up."""
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            if not self.is_running:
                raise StartFailed(f"{self.name} ended before it was ready (log: {self.log}):\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} not ready after {timeout_seconds:.0f} s; log: {self.log}")
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """Return what the log says about the end."""
        return "\n".join(self.read_log().splitlines()[-12:])

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _open_log(file: Path) -> BinaryIO:
    """Open a log that only its owner may read, whatever it was before; a new folder for it only they may enter."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def http_status(port: int, method: str, path: str, body: bytes | None = None) -> int | None:
    """Ask a server on loopback; None when it does not answer within two seconds."""
    answer = http_answer(port, method, path, body)
    return None if answer is None else answer[0]


def http_answer(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
    """Return status and body of a server on loopback; None when it does not answer within two seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def check_port_free(name: str, port: int) -> None:
    """Raise StartFailed when something listens on the loopback `port` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise StartFailed(f"{name}: port {port} is taken; choose another (semrouter up --help)") from exc


def free_ports(count: int) -> list[int]:
    """Find ports nobody listens on; held open together so that they differ."""
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]
