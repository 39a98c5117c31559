"""What moves which metric, in the proxy and over several workers."""

from pathlib import Path

import aiohttp
import msgspec
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton

UPSTREAM_REQUESTS = "semrouter_upstream_requests_total"
ENDPOINT_UP = "semrouter_endpoint_up"


async def test_each_attempt_at_an_upstream_counts(start_proxy: StartProxy, stand_in_url: str, gone_url: str) -> None:
    proxy = await start_proxy(
        stand_in_url, {"upstreams": {REASONING: {"endpoints": [gone_url], "fallbacks": [GENERAL]}}}
    )

    await proxy.chat(HARD)

    assert await proxy.metric(UPSTREAM_REQUESTS, upstream=REASONING, result="unreachable") == 1
    assert await proxy.metric(UPSTREAM_REQUESTS, upstream=GENERAL, result="2xx") == 1
    assert await proxy.metric("semrouter_requests_total", upstream="2xx") == 1


async def test_a_request_on_an_unrouted_path_counts_at_its_upstream(proxy: Proxy) -> None:
    await proxy.post("/v1/embeddings", {"model": GENERAL, "input": "2"})

    assert await proxy.metric(UPSTREAM_REQUESTS, upstream=GENERAL, result="2xx") == 1
    assert await proxy.metric("semrouter_requests_total") == 0


async def test_an_answer_that_breaks_off_counts_once_as_that(start_proxy: StartProxy, stand_in_url: str) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        return response

    app = web.Application()
    app.router.add_post("/{path:.+}", break_off)
    async with TestServer(app) as server:
        stalling = {"endpoints": [str(server.make_url(""))], "timeouts": {"between_chunks": 0.1}}
        proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: stalling}})
        async with proxy.client.post("/v1/completions", json={"model": GENERAL}) as response:
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    assert await proxy.metric(UPSTREAM_REQUESTS, upstream=GENERAL, result="aborted") == 1
    assert await proxy.metric(UPSTREAM_REQUESTS) == 1


async def test_an_endpoint_is_up_as_its_last_check_says(
    start_proxy: StartProxy, stand_in_url: str, gone_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"endpoints": [gone_url]}}})

    await proxy.check_health()

    assert await proxy.metric(ENDPOINT_UP, upstream=GENERAL, endpoint=proxy.urls[GENERAL]) == 1
    assert await proxy.metric(ENDPOINT_UP, upstream=REASONING, endpoint=gone_url) == 0


async def test_an_endpoint_left_alone_after_failures_is_not_up(proxy: Proxy) -> None:
    (endpoint,) = proxy.gateway.upstreams.serving(GENERAL).endpoints
    for _ in range(5):
        endpoint.breaker.failed()

    await proxy.check_health()

    assert await proxy.metric(ENDPOINT_UP, upstream=GENERAL) == 0


async def test_an_endpoint_that_is_not_configured_any_more_is_neither_up_nor_down(proxy: Proxy, tmp_path: Path) -> None:
    await proxy.check_health()
    file = tmp_path / "upstreams.yaml"
    form = yaml.safe_load(file.read_text())
    form["upstreams"][GENERAL]["endpoints"] = [proxy.urls[REASONING]]
    file.write_text(yaml.safe_dump(form))

    proxy.live.reload()
    await proxy.check_health()

    assert str(await proxy.metric(ENDPOINT_UP, upstream=GENERAL, endpoint=proxy.urls[GENERAL])) == "nan"
    assert await proxy.metric(ENDPOINT_UP, upstream=GENERAL, endpoint=proxy.urls[REASONING]) == 1


async def test_a_password_in_an_endpoint_is_not_shown(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": ["http://me:secret@127.0.0.1:1"]}}})

    await proxy.check_health()

    assert await proxy.metric(ENDPOINT_UP, upstream=GENERAL, endpoint="http://127.0.0.1:1") == 0
    assert "secret" not in await (await proxy.client.get("/metrics")).text()


@pytest.mark.parametrize(("enabled", "seconds"), [("true", 2.0), ("false", 0.0)])
async def test_the_budget_is_shown_while_routing_is_on(
    start_proxy: StartProxy, stand_in_url: str, enabled: str, seconds: float
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ENABLED=enabled)

    assert await proxy.metric("semrouter_routing_budget_seconds") == seconds


async def test_a_refused_policy_file_in_triton_shows_until_it_is_taken(proxy: Proxy, stand_in: StandInTriton) -> None:
    refused = msgspec.structs.replace(stand_in.decision(HARD), policy_error="policy.yaml: $: is empty")

    stand_in.answer = msgspec.json.encode(refused)
    await proxy.chat(HARD)
    while_refused = await proxy.metric("semrouter_policy_error")
    stand_in.answer = None
    await proxy.chat(EASY)

    assert (while_refused, await proxy.metric("semrouter_policy_error")) == (1, 0)


async def test_confidence_is_counted_by_the_label_that_decided(proxy: Proxy) -> None:
    for text in (HARD, HARD, EASY):
        await proxy.chat(text)

    assert await proxy.metric("semrouter_decision_confidence_count", winner="reasoning") == 2
    assert await proxy.metric("semrouter_decision_confidence_bucket", winner="non-reasoning", le="0.8") == 0
    assert await proxy.metric("semrouter_decision_confidence_bucket", winner="non-reasoning", le="0.9") == 1


async def test_texts_looked_up_in_the_cache_count_by_result(proxy: Proxy) -> None:
    for text in (HARD, HARD, EASY):
        await proxy.chat(text)

    assert await proxy.metric("semrouter_cache_total", result="miss") == 2
    assert await proxy.metric("semrouter_cache_total", result="hit") == 1
