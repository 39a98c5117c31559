"""The exact decision cache: by itself on a clock moved by hand, and in the proxy."""

import asyncio

import msgspec
import pytest

from router_proxy.routing.decision_cache import DecisionCache, cache_key
from routing_policy.decision import DecisionDocument
from routing_policy.policy_file import load_policy
from tests.router_proxy.conftest import EASY, GENERAL, HARD, POLICY, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def decision() -> DecisionDocument:
    return StandInTriton(load_policy(POLICY)).decision(HARD)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> DecisionCache:
    return DecisionCache(limit=2, seconds=60, clock=clock)


def test_a_decision_is_found_again_until_it_is_too_old(
    cache: DecisionCache, clock: Clock, decision: DecisionDocument
) -> None:
    cache.put(b"a", decision)

    clock.now += 59
    assert cache.get(b"a") is decision
    clock.now += 1
    assert cache.get(b"a") is None


def test_the_one_not_used_for_longest_makes_room(cache: DecisionCache, decision: DecisionDocument) -> None:
    cache.put(b"a", decision)
    cache.put(b"b", decision)
    cache.get(b"a")
    cache.put(b"c", decision)

    assert [cache.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


@pytest.mark.parametrize("changed", ["policy", "classifier"])
def test_another_revision_empties_it(cache: DecisionCache, decision: DecisionDocument, changed: str) -> None:
    other = {
        "policy": msgspec.structs.replace(decision, policy="other"),
        "classifier": msgspec.structs.replace(
            decision, classifier=msgspec.structs.replace(decision.classifier, revision="other")
        ),
    }[changed]
    cache.put(b"a", decision)

    cache.saw(decision)
    assert cache.get(b"a") is decision
    cache.saw(other)
    assert cache.get(b"a") is None


def test_what_the_policy_before_decided_is_not_kept_while_triton_catches_up(
    cache: DecisionCache, decision: DecisionDocument
) -> None:
    cache.put(b"a", decision)

    cache.expect("new")
    cache.put(b"b", decision)
    kept_too_early = [cache.get(key) is not None for key in (b"a", b"b")]
    cache.put(b"b", msgspec.structs.replace(decision, policy_error="$.weights: unknown field"))
    kept_on_purpose = cache.get(b"b") is not None
    cache.put(b"c", msgspec.structs.replace(decision, policy="new"))

    assert (kept_too_early, kept_on_purpose) == ([False, False], True)
    assert cache.get(b"c") is not None


def test_a_look_is_due_when_no_decision_was_seen_for_a_second(
    cache: DecisionCache, clock: Clock, decision: DecisionDocument
) -> None:
    cache.put(b"a", decision)
    before = cache.is_due_for_a_look
    clock.now += 1.5
    after = cache.is_due_for_a_look
    cache.saw(decision)

    assert (before, after, cache.is_due_for_a_look) == (False, True, False)


def test_texts_differ_by_any_byte() -> None:
    assert cache_key(b"prove it") != cache_key(b"prove it ")


async def test_a_text_asked_again_is_answered_from_the_cache(proxy: Proxy, stand_in: StandInTriton) -> None:
    answers = [await proxy.chat(text) for text in (HARD, HARD, EASY)]

    assert [answer.headers["x-semrouter-cache"] for answer in answers] == ["miss", "hit", "miss"]
    assert [answer.body["model"] for answer in answers] == [REASONING, REASONING, GENERAL]
    assert stand_in.texts == [HARD, EASY]
    assert await proxy.metric("semantic_route_decisions_total", route="enforce") == 3
    assert await proxy.metric("semantic_classifier_latency_ms_count") == 2


async def test_one_text_asked_by_many_at_once_is_decided_once(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.released.clear()

    waiting = [asyncio.create_task(proxy.chat(HARD)) for _ in range(5)]
    await stand_in.asked.wait()
    stand_in.released.set()
    answers = await asyncio.gather(*waiting)

    assert [answer.body["model"] for answer in answers] == [REASONING] * 5
    assert sorted(answer.headers["x-semrouter-cache"] for answer in answers) == ["hit"] * 4 + ["miss"]
    assert stand_in.texts == [HARD]


async def test_a_failure_is_not_kept(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.answer = b"no decision"
    first = await proxy.chat(HARD)
    stand_in.answer = None

    second = await proxy.chat(HARD)

    assert (first.outcome, second.outcome) == ("failopen_error", "routed")


async def test_a_probe_asks_anew_and_shows_a_new_policy(proxy: Proxy, stand_in: StandInTriton) -> None:
    await proxy.chat(HARD)
    stand_in.answer = msgspec.json.encode(msgspec.structs.replace(stand_in.decision(HARD), policy="new"))

    await proxy.client.get("/health/ready")

    assert (await proxy.chat(HARD)).headers["x-semrouter-policy"] == "new"


async def test_it_can_be_switched_off(start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_CACHE_ENTRIES="0")

    answers = [await proxy.chat(HARD) for _ in range(2)]

    assert [answer.headers["x-semrouter-cache"] for answer in answers] == ["miss", "miss"]
    assert stand_in.texts == [HARD, HARD]
