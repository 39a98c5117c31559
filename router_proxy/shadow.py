"""Decisions off the request path: what the router would have done, for the metrics only."""

import asyncio

import msgspec

from .errors import ClassifierFailed
from .metrics import Metrics
from .router_client import RouterClient


class ShadowAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A text to judge, and the model that its request really went to."""

    text: str | None
    served_model: str


class Shadow:
    """A bounded queue and one worker: a burst is dropped and counted, never waited for."""

    def __init__(self, router: RouterClient, metrics: Metrics, *, queue_limit: int, budget_seconds: float) -> None:
        self._router = router
        self._metrics = metrics
        self._budget_seconds = budget_seconds
        self._queue: asyncio.Queue[ShadowAsk] = asyncio.Queue(queue_limit)
        self._worker = asyncio.create_task(self._work())

    def submit(self, ask: ShadowAsk) -> None:
        try:
            self._queue.put_nowait(ask)
        except asyncio.QueueFull:
            self._metrics.shadowed("dropped")

    async def drained(self) -> None:
        """Return once everything submitted so far is decided."""
        await self._queue.join()

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.wait({self._worker})

    async def _work(self) -> None:
        while True:
            ask = await self._queue.get()
            try:
                await self._decide(ask)
            finally:
                self._queue.task_done()

    async def _decide(self, ask: ShadowAsk) -> None:
        if ask.text is None:
            self._metrics.shadowed("no_text")
            return
        try:
            decision = (await self._router.ask(ask.text, self._budget_seconds)).decision
        except ClassifierFailed:
            self._metrics.shadowed("failed")
            return
        self._metrics.decided(decision, "shadow")
        self._metrics.shadowed("agree" if decision.model == ask.served_model else "differ")
