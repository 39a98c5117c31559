"""Ending an answer that stalls. One timer for the whole of it, looked after when it fires and not at every chunk."""

import asyncio
from types import TracebackType


class StallWatch:
    """Raises TimeoutError in the block it surrounds once a wait takes longer than `seconds` or lasts past `ends_at`.

    `result` is what that makes of the answer, as the wait it happened in says.
    """

    def __init__(self, seconds: float, *, ends_at: float) -> None:
        self.result = ""
        self._seconds = seconds
        self._ends_at = ends_at
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)

    def waits(self, result: str) -> None:
        """Begin another wait."""
        self.result = result
        self._deadline = min(self._loop.time() + self._seconds, self._ends_at)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self.waits("")
        self._timer = self._loop.call_at(self._deadline, self._look)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        else:
            self._timeout.reschedule(self._deadline)
