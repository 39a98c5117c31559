"""What a request's target may look like, byte by byte, and what of it reaches an upstream."""

import asyncio
import re

import msgspec
import pytest

from tests.router_proxy.conftest import GENERAL, REASONING, Proxy, StartProxy, StartUpstream

CHAT = "/v1/chat/completions"
BODY = msgspec.json.encode({"model": REASONING})


async def ask(proxy: Proxy, target: str) -> tuple[int, bytes]:
    """Send `target` as it stands, and return the status and the rest of the answer."""
    url = proxy.client.make_url("/")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n\r\n"
    writer.write(head.encode("latin-1") + BODY)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


def path_received(answer: bytes) -> str:
    found = re.search(rb'"path": "([^"]*)"', answer)
    assert found
    return found[1].decode()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        pytest.param(CHAT, CHAT, id="origin-form"),
        pytest.param(f"http://here{CHAT}", CHAT, id="absolute-form"),
        pytest.param(f"https://elsewhere.test:1{CHAT}?a=b%26c", f"{CHAT}?a=b%26c", id="another host"),
        pytest.param(f"t://x{CHAT}", CHAT, id="another scheme"),
        pytest.param(f"http://me:secret@here{CHAT}", CHAT, id="user and password"),
        pytest.param("http://here/v1/embeddings", "/v1/embeddings", id="a path that is not routed"),
        pytest.param(f"{CHAT}?@elsewhere.test/", f"{CHAT}?@elsewhere.test/", id="a query like a host"),
        pytest.param(f"{CHAT}?x=..%2f", f"{CHAT}?x=..%2f", id="a query like a path"),
        pytest.param("/v1/ch%61t/completions", CHAT, id="a letter encoded"),
    ],
)
async def test_path_and_query_go_on_and_nothing_else(proxy: Proxy, target: str, path: str) -> None:
    status, answer = await ask(proxy, target)

    assert (status, path_received(answer), proxy.reasoning.requests_begun) == (200, path, 1)
    counted = await proxy.metric("semrouter_requests_total", surface="chat")
    assert counted == ("chat" in path)


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/v1/chat%2fcompletions", CHAT),
        ("/v1/chat%2Fcompletions", CHAT),
        ("/v1/chat%252fcompletions", CHAT),
        ("/v1/chat%5ccompletions", CHAT),
        ("/v1\\chat\\completions", CHAT),
        ("/v1//chat/completions", CHAT),
        ("//v1/chat/completions", CHAT),
        ("/v1/chat/completions/", CHAT),
        ("/v1/./chat/completions", CHAT),
        ("/v1/%2e/chat/completions", CHAT),
        ("/v1/x/../chat/completions", CHAT),
        ("/v1/x/%2e%2E/chat/completions", CHAT),
        ("/v1/v1/chat/completions", CHAT),
        ("/v1/Chat/Completions", CHAT),
        ("/chat/completions", CHAT),
        ("http://here//v1/chat/completions", CHAT),
        ("/v1/messages/", "/v1/messages"),
        ("/v1/responses/", "/v1/responses"),
        ("/v1/responses//compact", "/v1/responses/compact"),
        ("/v1/v1/embeddings", "/v1/embeddings"),
        ("/tokenize/", "/tokenize"),
        ("/v1/chat/completions;x", None),
        ("/v1/chat/completions%20", None),
        ("/v1/chat/completions%00", None),
        ("/v1/x/..%2f..%2fsleep", None),
        ("/v1/responses/resp_1%2f..%2f..%2fsleep", None),
        ("/v1/Load_LoRA_adapter", None),
        ("/v1/embeddings:x@elsewhere.test", None),
    ],
)
async def test_another_way_to_write_a_path_is_refused_with_the_one_that_was_meant(
    proxy: Proxy, target: str, hint: str | None
) -> None:
    status, answer = await ask(proxy, target)

    assert (status, proxy.reasoning.requests_begun, proxy.general.requests_begun) == (404, 0, 0)
    assert (f"Did you mean {hint}?".encode() in answer) == (hint is not None)


@pytest.mark.parametrize(
    "target", ["*", "?x", "@elsewhere.test/v1/embeddings", "v1/embeddings", "elsewhere.test:80", ":80/v1/embeddings"]
)
async def test_a_target_that_is_none_reaches_nobody(proxy: Proxy, target: str) -> None:
    status, _ = await ask(proxy, target)

    assert 400 <= status < 500
    assert (proxy.reasoning.requests_begun, proxy.general.requests_begun) == (0, 0)


@pytest.mark.parametrize("base", ["", "/", "/base", "/base/"])
async def test_it_is_joined_to_the_path_of_the_endpoint(
    start_proxy: StartProxy, start_upstream: StartUpstream, base: str
) -> None:
    _, url = await start_upstream("based")
    proxy = await start_proxy("127.0.0.1:1", {"upstreams": {GENERAL: {"endpoints": [url.rstrip("/") + base]}}})

    answer = await proxy.post(f"{CHAT}?a=%26", {"model": GENERAL})

    assert answer.body["received"]["path"] == base.rstrip("/") + CHAT + "?a=%26"


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses/input_tokens"])
@pytest.mark.parametrize("model", [GENERAL, REASONING])
async def test_what_is_beside_the_ids_of_responses_goes_by_its_model(proxy: Proxy, path: str, model: str) -> None:
    answer = await proxy.post(path, {"model": model, "input": "x"})
    unknown = await proxy.post(path, {"model": "gpt-9", "input": "x"})

    begun = {GENERAL: proxy.general.requests_begun, REASONING: proxy.reasoning.requests_begun}
    assert (answer.status, answer.body["error"]["code"] if "error" in answer.body else 0, begun[model]) == (404, 0, 1)
    assert (sum(begun.values()), unknown.body["error"]["code"]) == (1, "model_not_found")
