"""Prompts with known answers on the live path: what they show, and what they must leave alone."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
import yaml

from router_proxy.background.canaries import Canaries
from router_proxy.configuration.canaries_file import CanariesForm, known_answers, load_canaries
from router_proxy.errors import ConfigurationInvalid
from routing_policy.bundle import read_bundle
from routing_policy.decision import ClassifierRef
from tests.conftest import CHECKOUT
from tests.router_proxy.conftest import EASY, HARD, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton

HEALTHY = "semrouter_classifier_healthy"
ROUNDS = "semrouter_canary_rounds_total"
KNOWN = {"keyword": [{"text": HARD, "winner": "reasoning"}, {"text": EASY, "winner": "non-reasoning"}]}
ONCE = "60"  # seconds between rounds: no second one comes while a test runs


def canaries_of(proxy: Proxy) -> Canaries:
    routing = proxy.gateway.routing
    assert routing is not None
    assert routing.canaries is not None
    return routing.canaries


async def degraded(proxy: Proxy) -> tuple[int, list[str]]:
    async with proxy.client.get("/health/ready") as response:
        return response.status, (await response.json())["degraded"]


async def start(
    start_proxy: StartProxy, url: str, directory: Path, known: dict[str, Any], seconds: str = ONCE
) -> Proxy:
    file = directory / "canaries.yaml"
    file.write_text(yaml.safe_dump({"canaries": known}), encoding="utf-8")
    proxy = await start_proxy(url, SEMROUTER_CANARIES=str(file), SEMROUTER_CANARY_SECONDS=seconds)
    async with asyncio.timeout(30):
        while not await proxy.metric(ROUNDS):
            await proxy.client.get("/health/live")
    return proxy


@pytest.fixture
async def proxy(start_proxy: StartProxy, stand_in_url: str, tmp_path: Path) -> Proxy:
    return await start(start_proxy, stand_in_url, tmp_path, KNOWN)


async def test_known_answers_make_the_classifier_healthy(proxy: Proxy) -> None:
    await canaries_of(proxy).check()

    assert await proxy.metric(HEALTHY) == 1
    assert await degraded(proxy) == (200, [])


async def test_another_answer_is_not_healthy_and_says_which(
    proxy: Proxy, stand_in: StandInTriton, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.answer = msgspec.json.encode(stand_in.decision(EASY))

    await canaries_of(proxy).check()

    assert await proxy.metric(HEALTHY) == 0
    assert await proxy.metric(ROUNDS, result="wrong") == 1
    assert await degraded(proxy) == (200, ["canaries"])
    assert "$.canaries.keyword[0]: expected the winner 'reasoning', got 'non-reasoning'" in caplog.text


async def test_no_answer_is_not_healthy(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.error = (grpc.StatusCode.INTERNAL, "the stub died")

    await canaries_of(proxy).check()

    assert await proxy.metric(HEALTHY) == 0
    assert await proxy.metric(ROUNDS, result="failed") == 1


async def test_it_is_healthy_again_once_the_answers_are_right(
    proxy: Proxy, stand_in: StandInTriton, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.error = (grpc.StatusCode.INTERNAL, "the stub died")
    await canaries_of(proxy).check()
    stand_in.error = None

    await canaries_of(proxy).check()

    assert await proxy.metric(HEALTHY) == 1
    assert "healthy again" in caplog.text


async def test_rounds_repeat_by_themselves(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str, tmp_path: Path
) -> None:
    proxy = await start(start_proxy, stand_in_url, tmp_path, KNOWN, seconds="0.01")
    stand_in.texts.clear()

    async with asyncio.timeout(30):
        while stand_in.texts.count(HARD) < 3:
            await proxy.client.get("/health/live")

    assert await proxy.metric(ROUNDS, result="right") >= 2


async def test_canaries_are_asked_past_the_cache_and_count_as_no_request(proxy: Proxy, stand_in: StandInTriton) -> None:
    await proxy.chat(HARD)
    stand_in.texts.clear()

    await canaries_of(proxy).check()

    assert stand_in.texts == ["Are you there?", HARD, EASY]
    assert await proxy.metric("semrouter_requests_total") == 1
    assert await proxy.metric("semantic_route_decisions_total") == 1
    assert await proxy.metric("semrouter_decision_confidence_count") == 1
    assert await proxy.metric("semantic_classifier_latency_ms_count") == 1
    assert await proxy.metric("semrouter_cache_total") == 1


async def test_a_classifier_without_canaries_is_asked_only_whether_it_answers(
    start_proxy: StartProxy,
    stand_in: StandInTriton,
    stand_in_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "semrouter.canaries")
    proxy = await start(start_proxy, stand_in_url, tmp_path, {"reasoning_classifier/1": KNOWN["keyword"]})

    assert await proxy.metric(HEALTHY) == 1
    assert stand_in.texts == ["Are you there?"]
    assert "keyword/1/keyword judges; canaries.yaml has none for it" in caplog.text


async def test_a_canary_whose_winner_is_no_label_is_left_out_and_named(
    start_proxy: StartProxy, stand_in_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "semrouter.canaries")
    known = {"keyword": [*KNOWN["keyword"], {"text": EASY, "winner": "general"}]}
    proxy = await start(start_proxy, stand_in_url, tmp_path, known)

    assert await proxy.metric(HEALTHY) == 1
    assert "$.canaries.keyword[2] is left out: 'general' is none of the labels of keyword/1/keyword" in caplog.text


async def test_a_changed_file_is_asked_next(proxy: Proxy, tmp_path: Path) -> None:
    wrong = {"keyword": [{"text": HARD, "winner": "non-reasoning"}]}
    (tmp_path / "canaries.yaml").write_text(yaml.safe_dump({"canaries": wrong}), encoding="utf-8")

    proxy.live.reload()
    await canaries_of(proxy).check()

    assert await proxy.metric(HEALTHY) == 0


async def test_without_routing_there_are_none(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ENABLED="false", SEMROUTER_CANARY_SECONDS="1")

    assert proxy.gateway.routing is None
    assert await proxy.metric(ROUNDS) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("canaries: {a: [{text: hello}]}", "$.canaries.a[0]: missing required key winner"),
        ("canaries: {a/b: []}", "matching regex"),
        ("canaries: {a: [{text: hello, winner: x, scores: {}}]}", "$.canaries.a[0].scores: unknown key"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "canaries.yaml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationInvalid) as refused:
        load_canaries(file)

    assert message in str(refused.value)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "is_meant"),
    [
        ("mine", True),
        ("mine/2", True),
        ("mine/2/b71c", True),
        ("mine/1", False),
        ("mine/2/0000", False),
        ("min", False),
        ("other/2", False),
    ],
)
def test_canaries_are_for_the_classifier_they_name(name: str, *, is_meant: bool) -> None:
    form = msgspec.convert({"canaries": {name: [{"text": "hello", "winner": "general"}]}}, CanariesForm)

    known = known_answers(form, ClassifierRef(name="mine", version=2, revision="b71c"))

    assert list(known) == ([f"$.canaries.{name}[0]"] if is_meant else [])


def test_the_shipped_file_knows_the_bundled_classifiers() -> None:
    form = load_canaries(CHECKOUT / "configs" / "canaries.yaml")
    refs = [
        ClassifierRef(name=each.parent.name, version=int(each.name), revision=read_bundle(each).revision)
        for each in CHECKOUT.glob("model_repository/*_classifier/[0-9]*")
    ]

    assert all(known_answers(form, ref) for ref in refs)
    assert len(form.canaries) == len(refs) + 1  # and the keywords
    assert all(len({canary.winner for canary in group}) > 1 for group in form.canaries.values())
