"""What the proxy answers besides chat: models, previews, probes, other paths; and the proxy with routing off."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router_proxy.app import create_app
from router_proxy.configuration.settings import read_settings
from routing_policy.errors import PolicyInvalid
from tests.stand_ins.triton import StandInTriton

from .conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy


async def get(proxy: Proxy, path: str) -> tuple[int, Any]:
    async with proxy.client.get(path) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{GENERAL}"])
async def test_a_model_says_what_clients_of_each_kind_read(proxy: Proxy, path: str) -> None:
    proxy.general.max_model_len, proxy.reasoning.max_model_len = 4096, 32_768
    await proxy.check_health()

    _, body = await get(proxy, path)
    _, alias = await get(proxy, "/v1/models/router")

    model = body if "id" in body else next(each for each in body["data"] if each["id"] == GENERAL)
    assert (model["object"], model["max_model_len"], alias["max_model_len"]) == ("model", 4096, 32_768)
    assert (model["type"], model["display_name"]) == ("model", GENERAL)
    assert datetime.fromisoformat(model["created_at"]).timestamp() == model["created"]
    assert "id" in body or (body["has_more"], body["first_id"], body["last_id"]) == (False, REASONING, "router")


async def test_models_lists_every_upstream_and_the_alias(proxy: Proxy) -> None:
    status, body = await get(proxy, "/v1/models")

    assert (status, body["object"]) == (200, "list")
    assert [model["id"] for model in body["data"]] == [REASONING, GENERAL, "router"]
    assert {model["object"] for model in body["data"]} == {"model"}


@pytest.mark.parametrize(("name", "status"), [(GENERAL, 200), ("router", 200), ("gpt-9", 404)])
async def test_a_model_is_shown_by_its_name(proxy: Proxy, name: str, status: int) -> None:
    answered, body = await get(proxy, f"/v1/models/{name}")

    assert answered == status
    assert body.get("id", body.get("error", {}).get("code")) in {name, "model_not_found"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"text": HARD}, id="text"),
        pytest.param({"model": "any", "messages": [{"role": "user", "content": HARD}]}, id="chat or messages"),
        pytest.param({"model": "any", "input": HARD}, id="responses"),
        pytest.param({"model": "any", "prompt": [HARD]}, id="completions"),
    ],
)
async def test_a_route_can_be_previewed_without_being_counted(proxy: Proxy, body: dict[str, Any]) -> None:
    answer = await proxy.post("/v1/route", body)

    assert (answer.status, answer.body["outcome"], answer.body["upstream"]) == (200, "routed", REASONING)
    assert answer.body["decision"]["winner"] == "reasoning"
    assert HARD not in json.dumps(answer.body)
    assert await proxy.metric("semrouter_requests_total") == 0
    assert await proxy.metric("semantic_route_decisions_total") == 0
    assert await proxy.metric("semantic_classifier_latency_ms_count") == 0
    assert await proxy.metric("semrouter_cache_total") == 0
    assert (proxy.general.requests_begun, proxy.reasoning.requests_begun) == (0, 0)


async def test_an_explained_preview_takes_the_decision_apart(proxy: Proxy) -> None:
    answer = await proxy.post("/v1/route?explain=1", {"text": HARD})

    explanation = answer.body["explanation"]
    assert explanation["policy"] == answer.body["decision"]["policy"] == answer.body["policy_here"]
    assert [check["path"] for check in explanation["checks"]] == ["$.reasoning_cutoff", "$.threshold_min_conf"]
    assert explanation["flips"][0]["target"] == GENERAL
    assert answer.body["eligibility"]["lacking"] == {GENERAL: None, REASONING: None}
    assert HARD not in json.dumps(answer.body)


async def test_a_decision_by_another_policy_is_not_explained_by_ours(proxy: Proxy, stand_in: StandInTriton) -> None:
    stand_in.answer = msgspec.json.encode(msgspec.structs.replace(stand_in.decision(HARD), policy="another"))

    answer = await proxy.post("/v1/route?explain=1", {"text": HARD})

    assert (answer.body["decision"]["policy"], answer.body["explanation"]) == ("another", None)


async def test_a_preview_names_the_upstream_that_can_take_the_request(
    start_proxy: StartProxy, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {REASONING: {"tools": False}}})

    answer = await proxy.post("/v1/route?explain=1", {"input": HARD, "tools": [{"type": "function"}]})

    assert (answer.body["decision"]["target"], answer.body["upstream"]) == (REASONING, GENERAL)
    assert answer.body["eligibility"]["lacking"] == {GENERAL: None, REASONING: "tools"}


async def test_a_preview_without_text_says_so(proxy: Proxy) -> None:
    answer = await proxy.post("/v1/route", {"text": " "})

    assert answer.body == {"decision": None, "outcome": "no_text", "upstream": GENERAL, "cache": "miss"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405)],
)
async def test_an_unknown_path_or_method_is_an_error_in_openais_format(
    proxy: Proxy, method: str, path: str, status: int
) -> None:
    async with proxy.client.request(method, path, headers={"X-Request-Id": "trace-7"}) as response:
        body = await response.json()

    assert (response.status, body["error"]["type"]) == (status, "invalid_request_error")
    assert response.headers["x-request-id"] == "trace-7"


async def test_our_own_answers_do_not_name_the_library(proxy: Proxy) -> None:
    async with proxy.client.get("/health/live") as response:
        assert "Server" not in response.headers


async def test_alive_and_ready(proxy: Proxy) -> None:
    assert await get(proxy, "/health/live") == (200, {"status": "ok"})
    up = {GENERAL: "up", REASONING: "up"}
    assert await get(proxy, "/health/ready") == (
        200,
        {"status": "ok", "routing": "on", "degraded": [], "upstreams": up},
    )


async def test_readiness_asked_by_many_at_once_costs_triton_one_inference(
    proxy: Proxy, stand_in: StandInTriton
) -> None:
    stand_in.released.clear()

    asking = [asyncio.create_task(get(proxy, "/health/ready")) for _ in range(10)]
    await stand_in.asked.wait()
    stand_in.released.set()
    answers = await asyncio.gather(*asking)

    assert [status for status, _ in answers] == [200] * 10
    assert len(stand_in.texts) < 10


async def test_a_triton_that_is_gone_degrades_but_stays_ready(start_proxy: StartProxy, gone_url: str) -> None:
    proxy = await start_proxy(gone_url.removeprefix("http://"))

    status, body = await get(proxy, "/health/ready")

    assert (status, body["status"], body["degraded"]) == (200, "degraded", ["triton"])


async def test_an_abstain_target_known_to_be_dead_is_not_ready(
    start_proxy: StartProxy, stand_in_url: str, gone_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": [gone_url]}}})
    for _ in range(3):
        await proxy.chat(EASY)

    status, body = await get(proxy, "/health/ready")

    assert (status, body["status"], body["upstreams"][GENERAL]) == (503, "unavailable", "down")


async def test_one_log_line_explains_a_request_without_its_text(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "semrouter.decisions")

    answer = await proxy.chat(HARD)

    (line,) = [json.loads(entry.message) for entry in caplog.records if entry.name == "semrouter.decisions"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["surface"], line["mode"], line["outcome"], line["target"]) == ("chat", "auto", "routed", REASONING)
    assert (line["requested_model"], line["winner"], line["status"]) == ("router", "reasoning", 200)
    assert line["scores"].keys() == {"reasoning", "non-reasoning"}
    assert line["ms"].keys() == {"route", "first_byte", "total"}
    assert all(value > 0 for value in line["ms"].values())
    assert "sqrt" not in caplog.text


class TestAFaultOfOurOwn:
    """What no handler expects: answered and logged before the first byte, a broken stream after it."""

    @pytest.fixture
    async def url(self, tmp_path: Path) -> AsyncIterator[str]:
        (tmp_path / "upstreams.yaml").write_text("upstreams: {m: {endpoints: ['http://127.0.0.1:1']}}")
        environ = {"SEMROUTER_UPSTREAMS": str(tmp_path / "upstreams.yaml")}
        app = create_app(read_settings(environ), environ)
        app.router.add_get("/faulty", self.fail)
        app.router.add_get("/faulty/stream", self.fail_midway)
        async with TestServer(app) as server:
            yield str(server.make_url("/faulty"))

    async def fail(self, _: web.Request) -> web.StreamResponse:
        raise ZeroDivisionError("secret")

    async def fail_midway(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: {}\n\n")
        raise ZeroDivisionError("secret")

    async def test_is_a_500_that_tells_nothing(self, url: str, caplog: pytest.LogCaptureFixture) -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            body = await response.json()

        assert (response.status, body["error"]["code"]) == (500, "internal_error")
        assert "secret" not in json.dumps(body)
        assert f"request {response.headers['x-request-id']} failed" in caplog.text

    async def test_midway_cuts_the_stream_off(self, url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/stream") as response:
            begun = await response.content.readuntil(b"\n\n")
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()

        assert (response.status, begun) == (200, b"data: {}\n\n")


class TestRoutingOff:
    """SEMROUTER_ENABLED unset: an ordinary proxy that knows nothing of Triton or the alias."""

    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy) -> Proxy:
        return await start_proxy("127.0.0.1:1", SEMROUTER_ENABLED="", SEMROUTER_CONFIG="/nowhere.yaml")

    @pytest.mark.parametrize("mode", ["auto", "force", "shadow", "bogus", None])
    async def test_every_request_is_forwarded_as_asked(self, proxy: Proxy, mode: str | None) -> None:
        answer = await proxy.chat(HARD, model=GENERAL, mode=mode)

        assert (answer.body["model"], answer.outcome, answer.headers["x-semrouter-mode"]) == (GENERAL, "off", "off")

    async def test_the_alias_is_unknown_and_unlisted(self, proxy: Proxy) -> None:
        answer = await proxy.chat(HARD)
        _, models = await get(proxy, "/v1/models")

        assert (answer.status, answer.body["error"]["code"]) == (404, "model_not_found")
        assert "SEMROUTER_ENABLED" in answer.body["error"]["message"]
        assert [model["id"] for model in models["data"]] == [REASONING, GENERAL]

    async def test_there_is_nothing_to_preview_and_the_proxy_is_ready(self, proxy: Proxy) -> None:
        assert (await proxy.post("/v1/route", {"text": HARD})).status == 404
        status, body = await get(proxy, "/health/ready")
        assert (status, body["status"], body["routing"]) == (200, "ok", "off")


async def test_a_policy_target_without_upstream_is_refused_at_start(start_proxy: StartProxy, tmp_path: Any) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("{reasoning_model: big, general_model: g, abstain_onprem_model: g, threshold_min_conf: 0.6}")

    with pytest.raises(
        PolicyInvalid, match=r"policy.yaml: \$.abstain_onprem_model: expected a model named in .*upstreams.yaml"
    ):
        await start_proxy("127.0.0.1:1", SEMROUTER_CONFIG=str(policy))
