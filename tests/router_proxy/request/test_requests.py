"""What a chat request may look like, and what becomes of one that is wrong."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from routing_policy.policy_file import load_policy
from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import body_received

CHAT = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        pytest.param([user(HARD)], HARD, id="string"),
        pytest.param([user([{"type": "text", "text": HARD}])], HARD, id="parts"),
        pytest.param([user([{"type": "text", "text": "Prove"}, IMAGE, {"type": "text", "text": "this picture wrong"}])],
                     "Prove\nthis picture wrong", id="text around an image"),
        pytest.param([user(HARD), {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
                      {"role": "tool", "tool_call_id": "c1", "content": "42"}], HARD, id="a tool loop"),
        pytest.param([user(EASY * 2), {"role": "assistant", "content": "4"}, user(HARD)], HARD, id="the last turn"),
    ],
)  # fmt: skip
async def test_the_ask_reaches_the_classifier(
    proxy: Proxy, stand_in: StandInTriton, messages: list[Any], asked: str
) -> None:
    answer = await proxy.post(CHAT, {"model": "router", "messages": messages}, mode="auto")

    assert (answer.body["model"], answer.outcome) == (REASONING, "routed")
    assert stand_in.texts == [asked]


@pytest.mark.parametrize("less_than", ["<", "\\u003c", "\\u003C"])
async def test_a_tag_is_stripped_however_its_bracket_is_written(
    proxy: Proxy, stand_in: StandInTriton, less_than: str
) -> None:
    raw = json.dumps({"model": "router", "messages": [user(f"<system-reminder>x</system-reminder>{HARD}")]})

    answer = await proxy.post(CHAT, raw.replace("<", less_than).encode(), mode="auto")

    assert (answer.outcome, stand_in.texts) == ("routed", [HARD])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="no messages"),
        pytest.param({"messages": None}, id="null messages"),
        pytest.param({"messages": "prove it"}, id="messages that are text"),
        pytest.param({"messages": []}, id="empty messages"),
        pytest.param({"messages": [None, 7, "x"]}, id="messages that are no objects"),
        pytest.param({"messages": [user(None)]}, id="null content"),
        pytest.param({"messages": [user("")]}, id="empty text"),
        pytest.param({"messages": [user("  \n")]}, id="blank text"),
        pytest.param({"messages": [user([])]}, id="no parts"),
        pytest.param({"messages": [user([IMAGE, IMAGE])]}, id="images only"),
        pytest.param({"messages": [user({"type": "text"})]}, id="content of an unknown shape"),
        pytest.param({"messages": [{"role": "system", "content": HARD}]}, id="no user turn"),
    ],
)
async def test_a_request_without_user_text_goes_to_the_abstain_target(
    proxy: Proxy, stand_in: StandInTriton, body: dict[str, Any]
) -> None:
    answer = await proxy.post(CHAT, body, mode="auto")

    assert (answer.status, answer.body["model"], answer.outcome) == (200, GENERAL, "no_text")
    assert stand_in.texts == []


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(b"", "invalid_json", id="nothing"),
        pytest.param(b"prove it", "invalid_json", id="text"),
        pytest.param(b'["model"]', "invalid_json", id="a list"),
        pytest.param(b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "invalid_json", id="invalid UTF-8"),
        pytest.param(b'{"model": 7}', "invalid_request", id="a model that is a number"),
    ],
)
async def test_what_is_not_a_request_is_refused_and_counted(proxy: Proxy, raw: bytes, code: str) -> None:
    answer = await proxy.post(CHAT, raw, mode="auto")

    assert (answer.status, answer.outcome) == (400, "invalid")
    assert answer.body["error"].keys() == {"message", "type", "param", "code"}
    assert (answer.body["error"]["type"], answer.body["error"]["code"]) == ("invalid_request_error", code)
    assert await proxy.metric("semrouter_requests_total", outcome="invalid") == 1
    assert (await proxy.chat(HARD)).outcome == "routed"


async def test_an_unknown_mode_is_refused_with_the_allowed_ones(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_ALLOWED_MODES="off,auto,shadow")

    answer = await proxy.chat(HARD, mode="force")

    assert (answer.status, answer.outcome, answer.headers["x-semrouter-mode"]) == (400, "invalid", "unknown")
    assert answer.body["error"]["message"] == "X-Dynamo-Routing: expected one of off, auto, shadow, got 'force'"


async def test_a_model_nobody_serves(proxy: Proxy) -> None:
    answer = await proxy.chat(HARD, model="gpt-9")

    assert (answer.status, answer.outcome) == (404, "invalid")
    assert (answer.body["error"]["code"], answer.body["error"]["param"]) == ("model_not_found", "model")


async def test_the_alias_without_routing_is_told_how_to_turn_it_on(proxy: Proxy) -> None:
    answer = await proxy.chat(HARD, model="router", mode="off")

    assert (answer.status, answer.body["error"]["code"]) == (404, "model_not_found")
    assert "X-Dynamo-Routing: auto" in answer.body["error"]["message"]


async def test_no_model_without_routing(proxy: Proxy) -> None:
    answer = await proxy.chat(HARD, model=None, mode="off")

    assert (answer.status, answer.body["error"]["code"], answer.outcome) == (400, "missing_model", "invalid")


async def test_a_body_of_ten_megabytes_passes_whole(proxy: Proxy) -> None:
    raw = json.dumps({"model": GENERAL, "messages": [user("x" * 10_000_000)]}).encode()

    answer = await proxy.post(CHAT, raw, mode="off")

    assert answer.status == 200
    assert body_received(answer.body) == raw


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_body_over_the_limit_is_refused(start_proxy: StartProxy, stand_in_url: str, chunked: bool) -> None:  # noqa: FBT001 - a parameter of the table
    proxy = await start_proxy(stand_in_url, {"limits": {"body_mib": 1}})

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    data = pieces() if chunked else io.BytesIO(b" " * (1024 * 1024 + 1))
    async with proxy.client.post(CHAT, data=data) as response:
        body = await response.json()

    assert (response.status, body["error"]["code"]) == (413, "body_too_large")


async def test_everything_but_the_model_reaches_the_upstream_as_sent(proxy: Proxy) -> None:
    messages = '[{"role":"user","content":"Prove \\u00fc = ü"}]'
    raw = f'{{ "temperature": 0.70, "model" : "router", "messages":{messages}, "x": {{"model": 1e2}} }}\n'

    answer = await proxy.post(CHAT, raw.encode(), mode="auto")

    assert body_received(answer.body) == raw.replace('"router"', f'"{REASONING}"').encode()


async def test_a_gzipped_body_is_understood(proxy: Proxy) -> None:
    raw = json.dumps({"model": "router", "messages": [user(HARD)]}).encode()

    answer = await proxy.post(CHAT, gzip.compress(raw), mode="auto", Content_Encoding="gzip")

    assert answer.outcome == "routed"
    assert "content-encoding" not in answer.body["received"]["headers"]


async def test_a_body_that_only_claims_to_be_gzipped_is_refused(proxy: Proxy) -> None:
    answer = await proxy.post(CHAT, b'{"model": "router"}', mode="auto", Content_Encoding="gzip")

    assert (answer.status, answer.body["error"]["code"]) == (400, "invalid_body")


@pytest.mark.parametrize(
    ("path", "ask", "merged"),
    [
        (CHAT, {"messages": [user(HARD)]}, {"thinking": True, "x": 1}),
        ("/v1/completions", {"prompt": HARD}, {"thinking": True, "x": 1}),
        ("/v1/responses", {"input": HARD}, {"thinking": False, "x": 1}),
        ("/v1/messages", {"messages": [user(HARD)]}, {"thinking": False, "x": 1}),
    ],
)
async def test_the_params_of_a_target_are_merged_where_the_body_has_a_place_for_them(
    start_proxy: StartProxy, tmp_path: Path, path: str, ask: dict[str, Any], merged: dict[str, Any]
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"""
        reasoning_model: {{name: thinking, model: {REASONING}, params: {{chat_template_kwargs: {{thinking: true}}}}}}
        general_model: {GENERAL}
        abstain_onprem_model: {GENERAL}
        threshold_min_conf: 0.6
    """)
    async with StandInTriton(load_policy(policy)).serving() as triton_url:
        proxy = await start_proxy(triton_url, SEMROUTER_CONFIG=str(policy))

        body = {"model": "router", **ask, "chat_template_kwargs": {"thinking": False, "x": 1}, "temperature": 0.7}
        answer = await proxy.post(path, body, mode="auto")

    sent = json.loads(body_received(answer.body))
    assert answer.headers["x-semrouter-target"] == "thinking"
    assert (sent["model"], sent["temperature"]) == (REASONING, 0.7)
    assert sent["chat_template_kwargs"] == merged


async def test_a_body_that_stalls_is_refused(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_BODY_SECONDS="0.05")
    more = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"model": '
        await more.wait()

    async with proxy.client.post(CHAT, data=stalling()) as response:
        body = await response.json()
        more.set()

    assert (response.status, body["error"]["code"]) == (408, "body_timeout")
    assert await proxy.metric("semrouter_requests_total", outcome="invalid") == 1
