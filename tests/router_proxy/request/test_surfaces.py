"""Every request shape that is routed, and the rest, which is forwarded by its model."""

import json
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy
from tests.stand_ins.triton import StandInTriton
from tests.stand_ins.upstream import body_received


def conversation(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


SURFACES = [
    pytest.param("chat", "/v1/chat/completions", conversation, id="chat"),
    pytest.param("completions", "/v1/completions", lambda text: {"prompt": text}, id="completions"),
    pytest.param("responses", "/v1/responses", lambda text: {"input": text}, id="responses"),
    pytest.param("messages", "/v1/messages", conversation, id="messages"),
    pytest.param("count_tokens", "/v1/messages/count_tokens", conversation, id="count_tokens"),
]


@pytest.mark.parametrize(("surface", "path", "body"), SURFACES)
async def test_a_surface_is_routed_where_it_was_asked(proxy: Proxy, surface: str, path: str, body: Any) -> None:
    hard = await proxy.post(path, {"model": "router", **body(HARD)}, mode="auto")
    easy = await proxy.post(path, {"model": "router", **body(EASY)}, mode="auto")

    assert (hard.body["model"], hard.body["received"]["path"], hard.outcome) == (REASONING, path, "routed")
    assert (easy.body["model"], easy.outcome) == (GENERAL, "routed")
    assert await proxy.metric("semrouter_requests_total", surface=surface, outcome="routed", upstream="2xx") == 2


@pytest.mark.parametrize(("surface", "path", "body"), SURFACES)
async def test_a_surface_without_text_goes_to_the_abstain_target(
    proxy: Proxy, surface: str, path: str, body: Any
) -> None:
    answer = await proxy.post(path, {"model": "router", **body("")}, mode="auto")

    assert (answer.body["model"], answer.outcome) == (GENERAL, "no_text")
    assert await proxy.metric("semrouter_requests_total", surface=surface, outcome="no_text") == 1


async def test_tags_to_strip_can_be_configured(
    start_proxy: StartProxy, stand_in: StandInTriton, stand_in_url: str
) -> None:
    proxy = await start_proxy(stand_in_url, SEMROUTER_INJECTED_TAGS="note, memo")

    await proxy.chat(f"<memo>x</memo>{HARD}<note>y</note>")

    assert stand_in.texts == [HARD]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"x", 400, "invalid_request_error"),
        ({"model": "gpt-9"}, 404, "not_found_error"),
        (b" " * 1_100_000, 413, "request_too_large"),
    ],
)
async def test_anthropics_callers_get_anthropics_errors(
    start_proxy: StartProxy, stand_in_url: str, path: str, body: Any, status: int, kind: str
) -> None:
    proxy = await start_proxy(stand_in_url, {"limits": {"body_mib": 1}})

    answer = await proxy.post(path, body)

    assert (answer.status, answer.body["type"], answer.body["error"]["type"]) == (status, "error", kind)


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/v1/rerank", "/v1/score", "/tokenize", "/detokenize", "/pooling", "/v2/rerank"]
)
async def test_any_other_path_is_forwarded_by_model(proxy: Proxy, path: str) -> None:
    raw = json.dumps({"model": REASONING, "input": HARD, "n": 1.0}).encode()

    answer = await proxy.post(path, raw, mode="force")

    assert (answer.status, answer.body["model"]) == (200, REASONING)
    assert body_received(answer.body) == raw
    assert answer.body["received"]["path"] == path
    assert "x-semrouter-outcome" not in answer.headers
    assert await proxy.metric("semrouter_requests_total") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../sleep",
        "/v1/%2e%2e/sleep",
        "/v1/x/..%2f../sleep",
        "/v1/responses/x/../../../sleep",
        "/v1/load_lora_adapter",
    ],
)
async def test_a_path_that_is_not_for_clients_goes_nowhere(proxy: Proxy, path: str) -> None:
    url = URL(str(proxy.client.make_url("")).rstrip("/") + path, encoded=True)

    async with aiohttp.ClientSession() as session, session.post(url, json={"model": GENERAL}) as response:
        assert (response.status, proxy.general.requests_begun) == (404, 0)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"model": "router"}, 404, "model_not_found"),
        ({"input": "x"}, 400, "missing_model"),
        (b"x", 400, "invalid_json"),
    ],
)
async def test_another_path_needs_a_model_that_is_served(proxy: Proxy, body: Any, status: int, code: str) -> None:
    answer = await proxy.post("/v1/embeddings", body)

    assert (answer.status, answer.body["error"]["code"]) == (status, code)


def upload(**fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData({"language": "en", **fields})
    form.add_field("file", b'\r\n--x\r\nname="model"\x00\xff', filename="model", content_type="audio/wav")
    return form


async def test_a_multipart_upload_passes_whole(proxy: Proxy) -> None:
    async with proxy.client.post("/v1/audio/transcriptions", data=upload(model=REASONING)) as response:
        answer = await response.json()

    received = answer["received"]
    assert (response.status, answer["model"], received["path"]) == (200, REASONING, "/v1/audio/transcriptions")
    assert received["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert b'\r\n--x\r\nname="model"\x00\xff' in body_received(answer)


@pytest.mark.parametrize(
    ("data", "content_type", "code"),
    [
        pytest.param(upload(), None, "missing_model", id="no model"),
        pytest.param(upload(model="gpt-9"), None, "model_not_found", id="a model nobody serves"),
        pytest.param(b"x", "multipart/form-data", "invalid_body", id="no boundary"),
        pytest.param(b"--b--", "multipart/form-data; boundary=b", "missing_model", id="no parts"),
    ],
)
async def test_a_multipart_upload_needs_a_model_too(
    proxy: Proxy, data: Any, content_type: str | None, code: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}

    async with proxy.client.post("/v1/audio/transcriptions", data=data, headers=headers) as response:
        assert (await response.json())["error"]["code"] == code
