"""A list of Tritons instead of one: decisions are spread, and one that is gone is done without."""

from routing_policy.policy_file import load_policy
from tests.router_proxy.conftest import POLICY, StartProxy
from tests.stand_ins.triton import StandInTriton


async def test_listed_tritons_take_turns_and_one_that_ends_is_left_out(start_proxy: StartProxy) -> None:
    first, second = StandInTriton(load_policy(POLICY)), StandInTriton(load_policy(POLICY))
    async with first.serving() as first_url:
        async with second.serving() as second_url:
            proxy = await start_proxy(f"ipv4:{first_url},{second_url}", SEMROUTER_CACHE_ENTRIES="0")
            for number in range(30):
                await proxy.chat(f"What is {number} + 1?")
            shared = len(first.texts), len(second.texts)
        outcomes = [(await proxy.chat(f"What is {number} + 2?")).outcome for number in range(10)]

    assert min(shared) >= 5
    assert outcomes[-5:] == ["routed"] * 5
