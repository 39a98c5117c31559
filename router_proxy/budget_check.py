"""At start: is the routing budget one that this classifier can keep?"""

import logging
import time

from .router_client import RouterClient

LOG = logging.getLogger("semrouter.proxy")
_PROBES = 20
_NINETY_FIVE_PERCENT = 0.95


async def check_budget(router: RouterClient, budget_ms: int) -> None:
    """Time some real inferences and warn when most requests would fail open."""
    took_ms = []
    for _ in range(_PROBES):
        started = time.perf_counter()
        if not await router.probe():
            LOG.warning("Triton gives no decisions yet: until it does, requests go to the abstain target")
            return
        took_ms.append((time.perf_counter() - started) * 1000)
    p95_ms = sorted(took_ms)[int(_PROBES * _NINETY_FIVE_PERCENT) - 1]
    if p95_ms > budget_ms:
        LOG.warning(
            "decisions take %.1f ms (p95), the routing budget is %d ms: requests will fail open", p95_ms, budget_ms
        )
    else:
        LOG.info("decisions take %.1f ms (p95), the routing budget is %d ms", p95_ms, budget_ms)
