"""Canaries and cache on a real Triton: the shipped known answers, and what a change of policy or classifier leaves."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from export.repository.installation import install_bundle
from export.repository.serving_copy import refresh_serving_copy
from routing_policy.decision import DecisionDocument
from tests.conftest import CHECKOUT, StartTriton
from tests.router_proxy.conftest import GENERAL, REASONING, Proxy, StartProxy
from tests.semantic_router.conftest import LABELS, MakeRouter, RouterModel, make_router
from tests.stand_ins.tiny_classifier import write_tiny_bundle

from .test_canaries import HEALTHY, ONCE, ROUNDS, canaries_of

__all__ = ["make_router"]  # a fixture of the Triton model's tests, used here too

CODER = "deepseek-ai/DeepSeekCoder-V2-Lite-Instruct"
WORDS = {"[UNK]": 0, "hard": 1, "easy": 2, "nan": 3}
POLICY = "{{reasoning_model: {hard}, general_model: {easy}, abstain_onprem_model: {easy}, threshold_min_conf: 0.6}}"


@pytest.mark.parametrize("classifier", ["", "keyword"], ids=["onnx", "keyword"])
@pytest.mark.parametrize("policy", ["semantic-router-binary.yaml", "semantic-router.yaml"])
async def test_the_shipped_classifiers_know_the_shipped_answers(
    start_triton: StartTriton, start_proxy: StartProxy, tmp_path: Path, policy: str, classifier: str
) -> None:
    refresh_serving_copy(CHECKOUT / "model_repository", tmp_path / "model_repository")
    config = CHECKOUT / "configs" / policy
    triton = start_triton(tmp_path / "model_repository", config, SEMROUTER_CLASSIFIER=classifier)
    proxy = await start_proxy(
        f"127.0.0.1:{triton.ports.grpc}",
        {"upstreams": {CODER: {"endpoints": ["http://127.0.0.1:1"]}}},
        SEMROUTER_CONFIG=str(config),
        SEMROUTER_CANARY_SECONDS=ONCE,
    )

    await canaries_of(proxy).check()

    assert canaries_of(proxy).failure is None
    assert await proxy.metric(HEALTHY) == 1
    assert await proxy.metric(ROUNDS, result="wrong") == 0
    triton.stop(grace_seconds=1)


@pytest.fixture
def router(make_router: MakeRouter) -> RouterModel:
    return make_router(POLICY.format(hard=REASONING, easy=GENERAL))


@pytest.fixture
async def proxy(start_proxy: StartProxy, router: RouterModel, tmp_path: Path) -> Proxy:
    """Start a proxy with a canary that version 1 gets wrong, and have it cache the decision on `hard`."""
    canaries = tmp_path / "canaries.yaml"
    canaries.write_text('canaries: {reasoning_classifier/1: [{text: "Write a card.", winner: non-reasoning}]}')
    proxy = await start_proxy(
        f"127.0.0.1:{router.server.ports.grpc}",
        SEMROUTER_CONFIG=str(router.policy),
        SEMROUTER_CANARIES=str(canaries),
        SEMROUTER_CANARY_SECONDS=ONCE,
    )
    await canaries_of(proxy).check()
    await proxy.chat("hard")
    return proxy


def settle(router: RouterModel, holds: Callable[[DecisionDocument], bool]) -> None:
    """Ask Triton itself until both instances of the router have decided in the new way."""
    deadline = time.monotonic() + 20
    in_a_row = 0
    while in_a_row < 20:
        decision = router.decide_one("hard")
        in_a_row = in_a_row + 1 if holds(decision) else 0
        assert time.monotonic() < deadline, decision


async def until_answered_by(proxy: Proxy, model: str) -> None:
    """Keep asking what is in the cache until `model` answers."""
    async with asyncio.timeout(20):
        while (await proxy.chat("hard")).body["model"] != model:
            pass


async def test_a_new_policy_reaches_cached_texts_without_a_canary(proxy: Proxy, router: RouterModel) -> None:
    router.policy.write_text(POLICY.format(hard=GENERAL, easy=REASONING), encoding="utf-8")
    settle(router, lambda decision: decision.target == GENERAL)

    await until_answered_by(proxy, GENERAL)

    assert [(await proxy.chat("hard")).body["model"] for _ in range(10)] == [GENERAL] * 10


async def test_a_classifier_installed_over_a_bundled_one_is_asked_only_whether_it_answers(
    proxy: Proxy, router: RouterModel, tmp_path: Path
) -> None:
    assert "reasoning_classifier/1[0]" in str(canaries_of(proxy).failure)  # the tiny one knows no such text
    other = write_tiny_bundle(tmp_path / "bundle", labels=LABELS, word_order=WORDS)
    install_bundle(other, router.repository, "reasoning_classifier", router.load)
    settle(router, lambda decision: decision.classifier.version == 2)

    await canaries_of(proxy).check()

    assert canaries_of(proxy).failure is None
    assert await proxy.metric(HEALTHY) == 1


async def test_a_new_classifier_reaches_cached_texts_without_a_canary(
    proxy: Proxy, router: RouterModel, tmp_path: Path
) -> None:
    means_the_opposite = write_tiny_bundle(tmp_path / "bundle", labels=(LABELS[1], LABELS[0]), word_order=WORDS)
    install_bundle(means_the_opposite, router.repository, "reasoning_classifier", router.load)
    settle(router, lambda decision: decision.classifier.version == 2)

    await until_answered_by(proxy, GENERAL)
