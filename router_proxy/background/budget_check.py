"""At start: is the routing budget one that this classifier can keep?"""

import logging
import time
from collections.abc import Sequence
from itertools import cycle, islice

from router_proxy.errors import ClassifierFailed
from router_proxy.routing.router_client import RouterClient

LOG = logging.getLogger("semrouter.proxy")
_DECISIONS = 20
_LIMIT_SECONDS = 2.0  # no budget is longer
_NINETY_FIVE_PERCENT = 0.95


async def check_budget(router: RouterClient, texts: Sequence[str], budget_ms: int) -> None:
    """Time real decisions on `texts` and warn when most requests would fail open."""
    took_ms = []
    for text in islice(cycle(texts), _DECISIONS):
        started = time.perf_counter()
        try:
            await router.judge(text.encode(), _LIMIT_SECONDS)
        except ClassifierFailed:
            LOG.warning("Triton gives no decisions yet: until it does, requests go to the abstain target")
            return
        took_ms.append((time.perf_counter() - started) * 1000)
    p95_ms = sorted(took_ms)[int(_DECISIONS * _NINETY_FIVE_PERCENT) - 1]
    if p95_ms > budget_ms:
        LOG.warning(
            "decisions take %.1f ms (p95), the routing budget is %d ms: requests will fail open", p95_ms, budget_ms
        )
    else:
        LOG.info("decisions take %.1f ms (p95), the routing budget is %d ms", p95_ms, budget_ms)
