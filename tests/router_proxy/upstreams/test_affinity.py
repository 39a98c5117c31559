"""Conversations stay at the endpoint that has them in its cache while that one is not much busier than the rest."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from router_proxy.configuration.upstreams_file import UpstreamForm, UpstreamsForm
from router_proxy.upstreams.upstreams import Endpoint, Upstream, Upstreams
from tests.router_proxy.conftest import EASY, GENERAL, StartProxy, StartUpstream

CONVERSATIONS = [f"conversation {number}".encode() for number in range(600)]


def upstream_with(count: int, affinity: str = "conversation") -> Upstream:
    urls = [f"http://replica-{number}:8000" for number in range(count)]
    form = UpstreamsForm(upstreams={GENERAL: UpstreamForm(endpoints=urls, affinity=affinity)})  # type: ignore[arg-type]
    return Upstreams(form, {}, Path("upstreams.yaml")).serving(GENERAL)


def chosen(upstream: Upstream, conversation: bytes) -> Endpoint:
    return upstream.ranked_endpoints(conversation)[0]


def turns(rng: random.Random, concurrency: int) -> Iterator[tuple[bytes, int]]:
    """Yield the turns of 600 conversations, mixed, each with how many requests end before the next begins."""
    waiting = [conversation for conversation in CONVERSATIONS for _ in range(8)]
    rng.shuffle(waiting)
    for conversation in waiting:
        yield conversation, rng.randrange(concurrency // 4)


@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_prefix_hits_are_nearly_those_of_perfect_stickiness(replicas: int) -> None:
    """Each replica remembers the conversations it has seen; 32 requests are under way at a time."""
    upstream, rng = upstream_with(replicas), random.Random(1)
    seen: dict[str, set[bytes]] = {endpoint.url: set() for endpoint in upstream.endpoints}
    under_way: list[Endpoint] = []
    hits = perfect = 0
    known: set[bytes] = set()
    for conversation, ended in turns(rng, concurrency=32):
        for _ in range(min(len(under_way), max(ended, len(under_way) - 31))):
            under_way.pop(rng.randrange(len(under_way))).outstanding -= 1
        endpoint = chosen(upstream, conversation)
        endpoint.outstanding += 1
        under_way.append(endpoint)
        hits += conversation in seen[endpoint.url]
        perfect += conversation in known
        seen[endpoint.url].add(conversation)
        known.add(conversation)

    assert hits >= 0.95 * perfect


def test_no_replica_gets_much_more_than_its_share() -> None:
    upstream = upstream_with(4)

    for number in range(100):
        chosen(upstream, b"the same conversation" if number % 2 else CONVERSATIONS[number]).outstanding += 1

    assert max(endpoint.outstanding for endpoint in upstream.endpoints) <= 1.25 * 100 / 4 + 1


def test_a_new_replica_takes_only_its_share() -> None:
    before, after = upstream_with(4), upstream_with(5)

    moved = [each for each in CONVERSATIONS if chosen(before, each).url != chosen(after, each).url]
    gone_to = {chosen(after, each).url for each in moved}

    assert gone_to == {"http://replica-4:8000"}
    assert 0.1 < len(moved) / len(CONVERSATIONS) < 0.3


def test_conversations_are_spread_evenly() -> None:
    upstream = upstream_with(4)

    counts = Counter(chosen(upstream, conversation).url for conversation in CONVERSATIONS)

    assert min(counts.values()) > 0.7 * len(CONVERSATIONS) / 4


def test_two_processes_choose_alike() -> None:
    one, other = upstream_with(5), upstream_with(5)

    assert [chosen(one, each).url for each in CONVERSATIONS] == [chosen(other, each).url for each in CONVERSATIONS]


def test_an_endpoint_in_trouble_gives_its_conversations_to_the_next_and_gets_them_back() -> None:
    upstream = upstream_with(3)
    first, second, _ = upstream.ranked_endpoints(b"a conversation")

    first.is_down = True
    without = chosen(upstream, b"a conversation")
    first.is_down = False

    assert without is second
    assert chosen(upstream, b"a conversation") is first


async def test_each_turn_reaches_the_same_server(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str
) -> None:
    urls = [(await start_upstream(name))[1] for name in ("one", "two", "three")]
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": urls}}})

    by_conversation = []
    for number in range(12):
        messages = [{"role": "user", "content": f"{EASY} {number}"}]
        answers = []
        for _ in range(3):
            body = {"model": GENERAL, "messages": messages}
            async with proxy.client.post("/v1/chat/completions", json=body) as response:
                answers.append((await response.json())["model"])
            messages += [{"role": "assistant", "content": "Paris."}, {"role": "user", "content": "and now?"}]
        by_conversation.append(answers)

    assert [len(set(answers)) for answers in by_conversation] == [1] * 12
    assert len({answers[0] for answers in by_conversation}) > 1


async def test_affinity_yields_to_load(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str
) -> None:
    started = {name: await start_upstream(name) for name in ("one", "two")}
    urls = [url for _, url in started.values()]
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": urls}}})
    home = (await proxy.chat(EASY, model=GENERAL)).body["model"]
    upstream = proxy.gateway.upstreams.serving(GENERAL)
    [busy] = [endpoint for endpoint in upstream.endpoints if endpoint.url == started[home][1]]
    busy.outstanding = 20

    away = (await proxy.chat(EASY, model=GENERAL)).body["model"]
    busy.outstanding = 0
    back = (await proxy.chat(EASY, model=GENERAL)).body["model"]

    assert (away != home, back) == (True, home)
