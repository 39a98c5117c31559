"""When an answer that stalls is ended, and what that makes of it."""

import asyncio
import math

import pytest

from router_proxy.forwarding.relay import StallWatch


@pytest.mark.parametrize(
    ("seconds", "total_seconds"),
    [pytest.param(0.01, math.inf, id="a wait too long"), pytest.param(60, 0.01, id="all of it too long")],
)
async def test_a_wait_is_ended_and_says_what_that_makes_of_the_answer(seconds: float, total_seconds: float) -> None:
    watch = StallWatch(seconds, ends_at=asyncio.get_running_loop().time() + total_seconds)

    with pytest.raises(TimeoutError):
        async with watch:
            watch.waits("aborted")
            await asyncio.Event().wait()

    assert watch.result == "aborted"


async def test_waits_that_are_short_enough_may_take_longer_together() -> None:
    loop = asyncio.get_running_loop()
    begun, watch = loop.time(), StallWatch(0.2, ends_at=math.inf)

    async with watch:
        while loop.time() < begun + 0.5:
            watch.waits("aborted")
            await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    with pytest.raises(asyncio.CancelledError):
        async with StallWatch(60, ends_at=math.inf):
            raise asyncio.CancelledError
