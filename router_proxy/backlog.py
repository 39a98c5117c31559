"""Is this process behind with its work? How late its own timer comes says so: everything that is ready waits as long.

While it is behind, a share of new requests is refused, and the share follows from how far behind it stays. Without that
more requests than a process can serve would all be answered, each later than the one before.
"""

import asyncio
import contextlib

_TICK_SECONDS = 0.05
_BEHIND_SECONDS = 0.15
_PATIENCE_SECONDS = 1.0  # a burst, or one long piece of work, is no overload
_FEWEST_IN_FLIGHT = 64  # with fewer it is not the requests that keep the process from its work
_INCREASE, _DECREASE = 0.1, 0.05
_LARGEST_SHARE = 0.95


class Shedding:
    """Turns lateness into a share of requests to refuse; spread evenly, as no client is to be refused by chance."""

    def __init__(self) -> None:
        self.share = 0.0
        self._behind_seconds = 0.0
        self._owed = 0.0

    def ticked(self, late_seconds: float) -> None:
        """Learn how late the timer came this time."""
        if late_seconds < _BEHIND_SECONDS:
            self._behind_seconds = 0.0
            self.share = max(0.0, self.share - _DECREASE)
            return
        self._behind_seconds += late_seconds + _TICK_SECONDS
        if self._behind_seconds > _PATIENCE_SECONDS:
            self.share = min(_LARGEST_SHARE, self.share + _INCREASE)

    def refuses(self, in_flight: int) -> bool:
        if not self.share or in_flight < _FEWEST_IN_FLIGHT:
            return False
        self._owed += self.share
        if self._owed < 1:
            return False
        self._owed -= 1
        return True


class Backlog:
    """Watches the loop that it is made in, for as long as it is open."""

    def __init__(self) -> None:
        self.shedding = Shedding()
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self.shedding.ticked(loop.time() - due)
