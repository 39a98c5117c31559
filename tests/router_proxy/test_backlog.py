"""When a process that is behind with its work refuses requests, and which share."""

import asyncio
import time

from router_proxy.backlog import Backlog, Shedding

from .conftest import GENERAL, StartProxy

MANY = 1000


def refused(shedding: Shedding, requests: int = 100, in_flight: int = MANY) -> int:
    return sum(shedding.refuses(in_flight) for _ in range(requests))


def test_one_long_piece_of_work_is_no_overload() -> None:
    shedding = Shedding()

    shedding.ticked(0.9)

    assert refused(shedding) == 0


def test_the_longer_it_stays_behind_the_more_is_refused_but_never_all() -> None:
    shedding = Shedding()
    shares = []
    for _ in range(5):
        for _ in range(5):
            shedding.ticked(0.3)
        shares.append(refused(shedding))

    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 95


def test_once_it_keeps_up_again_everybody_is_served_again() -> None:
    shedding = Shedding()
    for _ in range(50):
        shedding.ticked(0.3)

    for _ in range(20):
        shedding.ticked(0.0)

    assert refused(shedding) == 0


def test_with_few_requests_under_way_they_are_not_what_keeps_it_from_its_work() -> None:
    shedding = Shedding()
    for _ in range(50):
        shedding.ticked(0.3)

    assert refused(shedding, in_flight=10) == 0


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    backlog = Backlog()
    await asyncio.sleep(0)  # let it begin

    async with asyncio.timeout(30):
        while not backlog.shedding.share:
            time.sleep(0.4)  # noqa: ASYNC251 - holding up the loop is the point
            await asyncio.sleep(0.01)

    await backlog.close()


async def test_a_refusal_says_when_to_come_again(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url)
    shedding = proxy.gateway.admission.shedding
    for _ in range(50):
        shedding.ticked(0.3)
    proxy.general.held.clear()
    body = {"model": GENERAL, "stream": True}
    async with asyncio.TaskGroup() as group:
        streams = [group.create_task(proxy.client.post("/v1/chat/completions", json=body)) for _ in range(64)]
    for _ in range(50):
        shedding.ticked(0.3)

    answers = [await proxy.post("/v1/chat/completions", {"model": GENERAL}) for _ in range(2)]

    proxy.general.held.set()
    for stream in streams:
        await stream.result().read()
    refusals = [answer for answer in answers if answer.status == 503]
    assert [(each.outcome, each.headers["retry-after"]) for each in refusals[:1]] == [("rejected", "1")]
