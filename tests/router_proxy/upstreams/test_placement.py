"""Which upstream answers: endpoints, fallbacks, eligibility, and what health checks know."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import brotli
import pytest

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy, StartRaw, StartUpstream
from tests.stand_ins.upstream import body_received

CHAT = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
TOO_MANY_NEW_TOKENS = "max_tokens=5000 cannot be greater than max_model_len=4096. Please request fewer output tokens."


def least_busy_of(*urls: str) -> dict[str, Any]:
    return {"upstreams": {GENERAL: {"affinity": "none", "endpoints": list(urls)}}}


async def test_requests_go_to_the_endpoint_with_the_fewest_outstanding(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str
) -> None:
    (busy, busy_url), (idle, idle_url) = await start_upstream("busy"), await start_upstream("idle")
    proxy = await start_proxy(stand_in_url, least_busy_of(busy_url, idle_url))
    busy.held.clear()
    stream = {"model": GENERAL, "stream": True}

    async with proxy.client.post("/v1/chat/completions", json=stream):
        answers = [await proxy.chat(EASY, model=GENERAL) for _ in range(3)]
        busy.held.set()

    assert [answer.body["model"] for answer in answers] == ["idle"] * 3
    assert (busy.requests_begun, idle.requests_begun) == (1, 3)


async def test_endpoints_equally_busy_take_turns(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str
) -> None:
    (one, one_url), (two, two_url) = await start_upstream("one"), await start_upstream("two")
    proxy = await start_proxy(stand_in_url, least_busy_of(one_url, two_url))

    answers = [await proxy.chat(EASY, model=GENERAL) for _ in range(4)]

    assert [answer.body["model"] for answer in answers] == ["one", "two", "one", "two"]
    assert (one.requests_begun, two.requests_begun) == (2, 2)


async def test_an_endpoint_found_down_is_tried_last(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str, gone_url: str
) -> None:
    _, alive_url = await start_upstream("alive")
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": [gone_url, alive_url]}}})
    await proxy.check_health()

    down, up = proxy.gateway.upstreams.serving(GENERAL).endpoints

    assert (down.is_down, up.is_down) == (True, False)
    assert proxy.gateway.upstreams.serving(GENERAL).ranked_endpoints() == [up, down]


async def test_an_endpoint_that_is_slow_once_is_not_taken_for_down(
    start_proxy: StartProxy, start_upstream: StartUpstream, stand_in_url: str
) -> None:
    slow, slow_url = await start_upstream("slow")
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": [slow_url]}}})
    await proxy.check_health()
    (endpoint,) = proxy.gateway.upstreams.serving(GENERAL).endpoints
    slow.listing.clear()

    states = []
    for _ in range(2):
        await proxy.check_health()
        states.append(endpoint.is_down)
    slow.listing.set()
    await proxy.check_health()

    assert [*states, endpoint.is_down] == [False, True, False]


async def test_an_endpoint_that_is_back_is_used_again(proxy: Proxy) -> None:
    (endpoint,) = proxy.gateway.upstreams.serving(GENERAL).endpoints
    endpoint.is_down = True

    await proxy.check_health()

    assert not endpoint.is_down


async def test_checks_repeat_by_themselves(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_HEALTH_INTERVAL_SECONDS="0.01")

    async with asyncio.timeout(30):
        for _ in range(3):
            await proxy.general.listed.get()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_fallback_answers_for_an_upstream_in_trouble(
    start_proxy: StartProxy, stand_in_url: str, status: int
) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"fallbacks": [GENERAL]}}})
    proxy.reasoning.refusal = (status, "no")

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["model"], answer.outcome) == (200, GENERAL, "routed")
    assert answer.headers["x-semrouter-target"] == REASONING
    assert answer.headers["x-semrouter-upstream"] == GENERAL


async def test_a_fallback_answers_for_an_upstream_that_is_gone(
    start_proxy: StartProxy, stand_in_url: str, gone_url: str
) -> None:
    wrong = {REASONING: {"endpoints": [gone_url], "fallbacks": [GENERAL]}}
    proxy = await start_proxy(stand_in_url, {"upstreams": wrong})

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["model"]) == (200, GENERAL)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_an_error_about_the_request_is_passed_on(start_proxy: StartProxy, stand_in_url: str, status: int) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"fallbacks": [GENERAL]}}})
    proxy.reasoning.refusal = (status, "no")

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["message"], proxy.general.requests_begun) == (status, "no", 0)


async def test_the_last_upstream_in_trouble_answers_itself(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"fallbacks": [GENERAL]}}})
    proxy.reasoning.refusal, proxy.general.refusal = (503, "first"), (503, "second")

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["message"]) == (503, "second")


async def test_what_the_caller_placed_never_falls_back(
    start_proxy: StartProxy, stand_in_url: str, gone_url: str
) -> None:
    wrong = {REASONING: {"endpoints": [gone_url], "fallbacks": [GENERAL]}}
    proxy = await start_proxy(stand_in_url, {"upstreams": wrong})

    answer = await proxy.chat(HARD, model=REASONING)

    assert (answer.status, answer.outcome, proxy.general.requests_begun) == (502, "explicit", 0)


class TestFallbacksForAll:
    """`fallbacks_for: all` lets fallbacks answer requests that name the model, too."""

    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str, gone_url: str) -> Proxy:
        gone = {"endpoints": [gone_url], "fallbacks": [GENERAL], "fallbacks_for": "all"}
        return await start_proxy(stand_in_url, {"upstreams": {REASONING: gone, GENERAL: {"tools": False}}})

    @pytest.mark.parametrize(("mode", "outcome"), [("auto", "explicit"), ("off", "off"), ("shadow", "shadow")])
    async def test_a_fallback_answers_whoever_named_the_model(self, proxy: Proxy, mode: str, outcome: str) -> None:
        answer = await proxy.chat(HARD, model=REASONING, mode=mode)

        assert (answer.status, answer.body["model"], answer.outcome) == (200, GENERAL, outcome)
        assert answer.headers["x-semrouter-upstream"] == GENERAL
        assert json.loads(body_received(answer.body))["model"] == GENERAL

    async def test_but_none_that_cannot_take_the_request(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=REASONING, tools=[{"type": "function"}])

        assert (answer.status, proxy.general.requests_begun) == (502, 0)

    async def test_and_none_on_paths_that_are_not_routed(self, proxy: Proxy) -> None:
        answer = await proxy.post("/v1/embeddings", {"model": REASONING, "input": HARD})

        assert (answer.status, proxy.general.requests_begun) == (502, 0)


def image_request(text: str) -> dict[str, Any]:
    return {"model": "router", "messages": [{"role": "user", "content": [{"type": "text", "text": text}, IMAGE]}]}


@pytest.mark.parametrize(
    ("general", "body", "rationale"),
    [
        pytest.param({"modalities": ["text", "image"]}, image_request(HARD), "ineligible_image", id="an image"),
        pytest.param({}, {"model": "router", "prompt": HARD, "tools": [{}]}, "ineligible_tools", id="tools"),
        pytest.param({}, {"model": "router", "prompt": HARD, "max_tokens": 5000}, "ineligible_context", id="length"),
    ],
)
async def test_a_target_that_cannot_take_the_request_is_replaced(
    start_proxy: StartProxy, stand_in_url: str, general: dict[str, Any], body: dict[str, Any], rationale: str
) -> None:
    limited = {"max_model_len": 4096, "tools": False}
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: limited, GENERAL: general}})
    path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"

    answer = await proxy.post(path, body, mode="auto")

    assert (answer.body["model"], answer.outcome) == (GENERAL, "routed")
    assert answer.headers["x-semrouter-rationale"] == rationale
    assert answer.headers["x-semrouter-target"] == GENERAL
    assert await proxy.metric("semantic_route_decisions_total", rationale=rationale, target=GENERAL) == 1


class TestATargetThatIsFull:
    """`max_in_flight` bounds what the router brings to an upstream, never what callers send there themselves."""

    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str) -> AsyncIterator[Proxy]:
        """Keep the one place at the reasoning upstream taken."""
        proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"max_in_flight": 1}}})
        proxy.reasoning.held.clear()
        async with proxy.client.post("/v1/chat/completions", json={"model": REASONING, "stream": True}):
            yield proxy
            proxy.reasoning.held.set()

    async def test_gets_no_more_from_the_router(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD)

        assert (answer.status, answer.body["model"], answer.outcome) == (200, GENERAL, "capped")
        assert answer.headers["x-semrouter-target"] == REASONING
        assert answer.headers["x-semrouter-upstream"] == GENERAL
        assert await proxy.metric("semrouter_requests_total", outcome="capped") == 1
        assert await proxy.metric("semantic_route_decisions_total", target=REASONING) == 1

    async def test_is_still_there_for_who_names_it(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD, model=REASONING)

        assert (answer.body["model"], answer.outcome) == (REASONING, "explicit")

    async def test_is_used_where_the_abstain_target_cannot_take_the_request(self, proxy: Proxy) -> None:
        proxy.general.max_model_len, proxy.reasoning.max_model_len = 10, 10_000
        await proxy.check_health()

        answer = await proxy.chat(HARD)

        assert (answer.body["model"], answer.outcome) == (REASONING, "routed")

    async def test_is_named_by_a_preview(self, proxy: Proxy) -> None:
        answer = await proxy.post("/v1/route", {"text": HARD})

        assert (answer.body["outcome"], answer.body["upstream"]) == ("capped", GENERAL)


async def test_an_abstain_target_has_no_cap(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"max_in_flight": 1}}})
    proxy.general.held.clear()

    async with proxy.client.post("/v1/chat/completions", json={"model": GENERAL, "stream": True}):
        answer = await proxy.chat(EASY)
        proxy.general.held.set()

    assert (answer.body["model"], answer.outcome) == (GENERAL, "routed")


async def test_no_upstream_is_tried_twice(start_proxy: StartProxy, stand_in_url: str) -> None:
    limited = {REASONING: {"tools": False, "fallbacks": [GENERAL]}}
    proxy = await start_proxy(stand_in_url, {"upstreams": limited})
    proxy.general.refusal = (503, "loading")

    answer = await proxy.chat(HARD, tools=[{"type": "function"}])

    assert (answer.status, answer.body["message"], proxy.general.requests_begun) == (503, "loading", 1)


async def test_a_request_nobody_can_take_goes_to_its_target(proxy: Proxy) -> None:
    answer = await proxy.post("/v1/chat/completions", image_request(HARD), mode="auto")

    assert (answer.body["model"], answer.headers["x-semrouter-rationale"]) == (REASONING, "reasoning")


async def test_what_the_caller_placed_is_not_replaced(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"max_model_len": 1}}})

    assert (await proxy.chat(HARD, model=REASONING)).body["model"] == REASONING


async def test_the_context_length_is_asked_of_the_upstream(proxy: Proxy) -> None:
    proxy.reasoning.max_model_len = 4096
    await proxy.check_health()

    answer = await proxy.chat(HARD, max_tokens=5000)

    assert (answer.body["model"], answer.headers["x-semrouter-rationale"]) == (GENERAL, "ineligible_context")


@pytest.mark.parametrize("refusal", [TOO_LONG, TOO_MANY_NEW_TOKENS], ids=["prompt", "new tokens"])
async def test_a_request_refused_as_too_long_is_tried_where_there_is_more_room(proxy: Proxy, refusal: str) -> None:
    proxy.reasoning.max_model_len, proxy.general.max_model_len = 4096, 32_768
    await proxy.check_health()
    proxy.reasoning.refusal = (400, refusal)

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["model"]) == (200, GENERAL)
    assert answer.headers["x-semrouter-rationale"] == "ineligible_context"


@pytest.mark.parametrize("refusal", [TOO_LONG, "temperature must be positive"])
@pytest.mark.parametrize(
    ("coding", "write"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("x-gzip", gzip.compress, id="x-gzip"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("br", brotli.compress, id="br"),
        pytest.param("identity", bytes, id="identity"),
        pytest.param("gzip", lambda raw: gzip.compress(raw + b" " * 50_000_000, 1), id="50 MB in gzip"),
    ],
)
async def test_a_refusal_is_understood_however_it_is_packed_and_passed_on_as_it_came(
    start_proxy: StartProxy,
    stand_in_url: str,
    start_raw: StartRaw,
    coding: str,
    write: Callable[[bytes], bytes],
    refusal: str,
) -> None:
    packed = write(json.dumps({"message": refusal}).encode())

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 400 No\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)

    upstreams = {REASONING: {"endpoints": [await start_raw(refuse)], "max_model_len": 4096}}
    proxy = await start_proxy(stand_in_url, {"upstreams": upstreams | {GENERAL: {"max_model_len": 32_768}}})

    body = {"model": "router", "messages": [{"role": "user", "content": HARD}]}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(proxy.client.make_url(CHAT), json=body, headers={"X-Dynamo-Routing": "auto"}) as response,
    ):
        answer = await response.read()

    if refusal == TOO_LONG:
        assert (response.status, json.loads(answer)["model"]) == (200, GENERAL)
    else:
        assert (response.status, answer) == (400, packed)


async def test_of_a_refusal_without_end_only_the_beginning_is_read(
    start_proxy: StartProxy, stand_in_url: str, start_raw: StartRaw
) -> None:
    written: list[int] = []

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + TOO_LONG.encode().ljust(65_536) + b"\r\n"
        for _chunk in range(3000):
            writer.write(chunk)
            written.append(len(chunk))
            await writer.drain()

    upstreams = {REASONING: {"endpoints": [await start_raw(pour)], "max_model_len": 4096}}
    proxy = await start_proxy(stand_in_url, {"upstreams": upstreams | {GENERAL: {"max_model_len": 32_768}}})

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["model"]) == (200, GENERAL)
    assert sum(written) < 20_000_000  # what sockets and their readers hold


@pytest.mark.parametrize(
    ("message", "general_length"),
    [
        pytest.param("temperature must be positive", 32_768, id="another refusal"),
        pytest.param(TOO_LONG, 4096, id="no more room anywhere"),
    ],
)
async def test_any_other_refusal_is_passed_on(proxy: Proxy, message: str, general_length: int) -> None:
    proxy.reasoning.max_model_len, proxy.general.max_model_len = 4096, general_length
    await proxy.check_health()
    proxy.reasoning.refusal = (400, message)

    answer = await proxy.chat(HARD)

    assert (answer.status, answer.body["message"], proxy.general.requests_begun) == (400, message, 0)
    assert answer.headers["content-type"].startswith("application/json")
