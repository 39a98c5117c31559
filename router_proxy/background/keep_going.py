"""The net under work that goes on beside requests: a round that fails is logged and counted, and the next one comes."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

from router_proxy.record.metrics import Metrics

LOG = logging.getLogger("semrouter.proxy")


async def keep_going(what: str, work: Callable[[], Awaitable[None]], metrics: Metrics, *, pause_seconds: float) -> None:
    """Do `work`, rest, do it again, until cancelled, whatever becomes of a round."""
    while True:
        try:
            await work()
        except Exception as exc:  # noqa: BLE001 - the edge of the process: nobody else would hear of it
            note_failure(what, exc, metrics)
        await asyncio.sleep(pause_seconds)


def note_failure(what: str, error: Exception, metrics: Metrics) -> None:
    """Log a failure by its kind and place, as its words may hold a key or a prompt, and count it."""
    *_, place = traceback.extract_tb(error.__traceback__)
    LOG.error("%s failed and goes on: %s in %s:%s", what, type(error).__name__, place.filename, place.lineno)
    metrics.background_failed(what)
