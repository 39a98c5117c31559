"""The table of failures, staged: Triton and what the proxy knows of it."""

from functools import partial

import grpc
import msgspec
import yaml

from .conftest import EASY, GENERAL, HARD, Proxy
from .scene import Scene, Seen, Stage, until_metric

SHORT = {"SEMROUTER_ROUTING_BUDGET_MS": "50"}
QUEUE_FULL = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
BROKEN = (grpc.StatusCode.INTERNAL, "Stub process is not healthy")
REJECT = {"on_classifier_error": "reject"}


async def ask(proxy: Proxy) -> Seen:
    return Seen(proxy=proxy, answer=await proxy.chat(HARD))


async def is_slow(scene: Scene) -> Seen:
    scene.triton.released.clear()
    return await ask(await scene.proxy(**SHORT))


async def is_slow_and_rejects(scene: Scene) -> Seen:
    scene.triton.released.clear()
    return await ask(await scene.proxy_with(REJECT, **SHORT))


async def is_gone(scene: Scene) -> Seen:
    return await ask(await scene.start_proxy(scene.gone_url.removeprefix("http://")))


async def is_gone_and_rejects(scene: Scene) -> Seen:
    return await ask(await scene.start_proxy(scene.gone_url.removeprefix("http://"), REJECT))


async def gives_an_error(scene: Scene, error: tuple[grpc.StatusCode, str]) -> Seen:
    scene.triton.error = error
    return await ask(await scene.proxy())


async def is_overloaded_and_rejects(scene: Scene) -> Seen:
    scene.triton.error = QUEUE_FULL
    return await ask(await scene.proxy_with(REJECT))


async def answers(scene: Scene, document: bytes) -> Seen:
    scene.triton.answer = document
    return await ask(await scene.proxy())


async def decides_for_an_unknown_model(scene: Scene) -> Seen:
    elsewhere = msgspec.structs.replace(scene.triton.decision(HARD), target="new", model="new")
    return await answers(scene, msgspec.json.encode(elsewhere))


async def fails_five_times(scene: Scene) -> Seen:
    scene.triton.error = BROKEN
    proxy = await scene.proxy()
    for _ in range(5):
        await proxy.chat(HARD)
    seen = await ask(proxy)
    assert len(scene.triton.texts) == 5
    return seen


async def has_all_it_may(scene: Scene) -> Seen:
    scene.triton.released.clear()
    proxy = await scene.proxy(SEMROUTER_ROUTING_IN_FLIGHT="1", **SHORT)
    await proxy.chat(EASY)
    return await ask(proxy)


async def judges_a_canary_wrongly(scene: Scene) -> Seen:
    file = scene.directory / "canaries.yaml"
    file.write_text(yaml.safe_dump({"canaries": {"keyword": [{"text": HARD, "winner": "non-reasoning"}]}}))
    proxy = await scene.proxy(SEMROUTER_CANARIES=str(file), SEMROUTER_CANARY_SECONDS="60")
    await until_metric(proxy, "semrouter_canary_rounds_total")
    return await ask(proxy)


async def refuses_a_policy(scene: Scene) -> Seen:
    decision = msgspec.structs.replace(scene.triton.decision(HARD), policy_error="$.weights: unknown field")
    return await answers(scene, msgspec.json.encode(decision))


async def fails_in_shadow(scene: Scene) -> Seen:
    scene.triton.error = BROKEN
    proxy = await scene.proxy()
    answer = await proxy.chat(HARD, model=GENERAL, mode="shadow")
    await proxy.shadow_drained()
    return Seen(proxy=proxy, answer=answer)


async def lags_behind_the_shadow_queue(scene: Scene) -> Seen:
    scene.triton.released.clear()
    proxy = await scene.proxy(SEMROUTER_SHADOW_QUEUE="1")
    for _ in range(6):
        answer = await proxy.chat(HARD, model=GENERAL, mode="shadow")
    return Seen(proxy=proxy, answer=answer)


FAILURES: dict[str, list[Stage]] = {
    "Triton is slower than the budget": [is_slow],
    "Triton is gone, or answers with an error or nonsense": [
        is_gone,
        partial(gives_an_error, error=BROKEN),
        partial(answers, document=b"reasoning"),
    ],
    "Triton decides for a model without an upstream": [decides_for_an_unknown_model],
    "Triton fails 5 times in a row": [fails_five_times],
    "Triton's queue is full, or more decisions are under way than it answers in time": [
        partial(gives_an_error, error=QUEUE_FULL),
        has_all_it_may,
    ],
    "any of these with `on_classifier_error: reject`": [
        is_slow_and_rejects,
        is_gone_and_rejects,
        is_overloaded_and_rejects,
    ],
    "Triton judges a canary wrongly": [judges_a_canary_wrongly],
    "Triton refuses a changed policy": [refuses_a_policy],
    "Triton fails in shadow mode": [fails_in_shadow],
    "more shadow requests than the queue holds": [lags_behind_the_shadow_queue],
}
