"""A tritonserver that is kept answering: looked at, restarted, and started again for as long as it does not come up."""

import time

from export.repository.broken_versions import set_aside_broken_versions
from export.repository.triton_health import Health, look
from local.errors import StartFailed

from .triton_server import START_SECONDS, TritonServer

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_LOOK_SECONDS = 2.0
_STOP_SECONDS = 3.0  # whatever was in flight is lost already


class Supervisor:
    """Does one step at a time and never raises: what else is supervised, and serves without Triton, goes on."""

    def __init__(self, server: TritonServer) -> None:
        """Take over a server that answers."""
        self._server = server
        self._health: Health | None = Health(progressed_at=time.monotonic())
        self._look_at = 0.0
        self._started_at: float | None = None  # while it comes up
        self._start_at = 0.0  # when it is to be started again
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def step(self) -> list[str]:
        """Do what is due now, and return what there is to tell."""
        if self._health is not None:
            return self._look(self._health)
        if self._started_at is not None:
            return self._wait(self._started_at)
        if time.monotonic() >= self._start_at:
            return self._start()
        return []

    def _look(self, before: Health) -> list[str]:
        if not self._server.is_running:
            return ["tritonserver ended and is started again", *self._restart()]
        now = time.monotonic()
        if now < self._look_at:
            return []
        self._look_at = now + _LOOK_SECONDS
        self._health = look(self._server.place, before, now, self._server.pid)
        complaint = self._health.complaint(now)
        if complaint is None:
            return []
        return [f"tritonserver {complaint} and is started again", *self._restart()]

    def _restart(self) -> list[str]:
        self._health = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        return self._start()

    def _start(self) -> list[str]:
        told = []
        try:
            self._server.stop(grace_seconds=_STOP_SECONDS)
            told = set_aside_broken_versions(self._server.repository)
            self._server.start()
        except (StartFailed, OSError) as failure:
            return [*told, *self._pause(str(failure))]
        self._started_at = time.monotonic()
        return told

    def _wait(self, started_at: float) -> list[str]:
        if not self._server.is_running:
            return self._pause(f"it ended before it was ready:\n{self._server.last_words()}")
        if self._server.answers():
            self._started_at = None
            self._health = Health(progressed_at=time.monotonic())
            return ["tritonserver was restarted"]
        if time.monotonic() - started_at > START_SECONDS:
            return self._pause(f"it was not ready after {START_SECONDS} s")
        return []

    def _pause(self, failure: str) -> list[str]:
        """Try again later, and ever later: what is wrong may take a person to mend."""
        self._started_at = None
        self._start_at = time.monotonic() + self._pause_seconds
        pause, self._pause_seconds = self._pause_seconds, min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        return [f"tritonserver cannot be started, next try in {pause:.0f} s: {failure}"]
