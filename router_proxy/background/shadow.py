"""Decisions off the request path: what the router would have done, for the metrics and the log only."""

import asyncio
from contextvars import Context, copy_context

from router_proxy.errors import ClassifierFailed
from router_proxy.record.decision_log import DecisionLog
from router_proxy.record.exchange import Exchange
from router_proxy.record.metrics import Metrics
from router_proxy.record.tracing import Tracing
from router_proxy.routing.router_client import RouterClient

from .keep_going import note_failure

_LIMIT_SECONDS = 10.0  # nobody waits: long enough for a queue, short enough to get on when Triton is gone
_AT_ONCE = 4  # enough for Triton to batch, too few to keep requests that wait for their decision from it


class Shadow:
    """A bounded queue and a few workers: a burst is dropped and counted, never waited for."""

    def __init__(
        self,
        router: RouterClient,
        metrics: Metrics,
        decision_log: DecisionLog,
        *,
        tracing: Tracing,
        queue_limit: int,
        limit_seconds: float = _LIMIT_SECONDS,
    ) -> None:
        self._router = router
        self._metrics = metrics
        self._decision_log = decision_log
        self._tracing = tracing
        self._limit_seconds = limit_seconds
        self._queue: asyncio.Queue[tuple[Exchange, Context]] = asyncio.Queue(queue_limit)
        self._workers = {asyncio.create_task(self._work()) for _ in range(_AT_ONCE)}

    def submit(self, exchange: Exchange) -> None:
        """Take over a shadow request that was answered; it is logged with its decision, or without if there is none."""
        try:
            self._queue.put_nowait((exchange, copy_context()))
        except asyncio.QueueFull:
            self._drop(exchange, "queue_full")

    async def drained(self) -> None:
        """Return once everything submitted so far is decided."""
        await self._queue.join()

    async def close(self) -> None:
        """Drop what is not decided yet; it is logged all the same."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.wait(self._workers)
        while not self._queue.empty():
            self._drop(self._queue.get_nowait()[0], "stopping")

    def _drop(self, exchange: Exchange, reason: str) -> None:
        exchange.not_judged = reason
        self._metrics.shadowed("dropped", exchange)
        self._decision_log.write(exchange)

    async def _work(self) -> None:
        while True:
            exchange, context = await self._queue.get()
            try:
                judging = asyncio.create_task(self._judge(exchange), context=context)  # in the trace of its request
                self._metrics.shadowed(await judging, exchange)
                self._decision_log.write(exchange)
            except asyncio.CancelledError:
                self._drop(exchange, "stopping")
                raise
            except Exception as exc:  # noqa: BLE001 - the edge of the process: one request that cannot be judged must not end the rest
                note_failure("shadow", exc, self._metrics)
                self._drop(exchange, "error")
            finally:
                self._queue.task_done()

    async def _judge(self, exchange: Exchange) -> str:
        """Decide and return how that compares with what happened."""
        if exchange.text is None:
            return "no_text"
        with self._tracing.deciding(exchange):
            try:
                answered = await self._router.ask_at_leisure(exchange.text, self._limit_seconds, self._metrics)
            except ClassifierFailed as failure:
                exchange.not_judged = failure.outcome.removeprefix("failopen_")
                return "failed"
            exchange.decision, exchange.cached = answered.decision, answered.cached
            exchange.target = answered.decision.target
        self._metrics.decided(answered.decision, "shadow")
        return "agree" if answered.decision.model == exchange.served_by else "differ"
