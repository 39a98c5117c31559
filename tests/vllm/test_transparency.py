"""What vLLM says reaches the client as it says it: answers, streams, errors, and paths that are not routed."""

import re
from typing import Any

import aiohttp
import pytest

from .conftest import EASY, GENERAL, HARD, Router

# Each answer has an id and a time of its own.
_OF_ITS_OWN = re.compile(rb'"(id|request_id|created|created_at|item_id|completed_at)":("[^"]*"|\d+)')
CHAT = {"messages": [{"role": "user", "content": EASY}], "max_tokens": 8}
TOO_LONG = {"messages": [{"role": "user", "content": HARD}], "max_tokens": 100_000}


async def post(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
    async with http.post(url, json=body) as answer:
        return answer.status, answer.content_type, _OF_ITS_OWN.sub(b"", await answer.read())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        pytest.param("/v1/chat/completions", CHAT, 200, id="chat"),
        pytest.param("/v1/chat/completions", CHAT | {"stream": True}, 200, id="streamed chat"),
        pytest.param("/v1/chat/completions", CHAT | {"logprobs": True, "top_logprobs": 2}, 200, id="log probabilities"),
        pytest.param("/v1/chat/completions", CHAT | {"n": 2, "temperature": 1, "seed": 7}, 200, id="several choices"),
        pytest.param("/v1/chat/completions", CHAT | {"temperature": -1}, 400, id="a parameter vLLM refuses"),
        pytest.param("/v1/chat/completions", TOO_LONG, 400, id="more tokens than there is context"),
        pytest.param("/v1/completions", {"prompt": EASY, "max_tokens": 8}, 200, id="completions"),
        pytest.param("/v1/completions", {"prompt": [5, 6, 7], "max_tokens": 8}, 200, id="token ids"),
        pytest.param("/v1/messages", CHAT, 200, id="messages"),
        pytest.param("/v1/messages", TOO_LONG, 400, id="messages with more tokens than there is context"),
        pytest.param("/v1/messages/count_tokens", {"messages": CHAT["messages"]}, 200, id="count_tokens"),
        pytest.param("/v1/embeddings", {"input": EASY}, 404, id="embeddings, which this model has not"),
        pytest.param("/tokenize", {"prompt": EASY}, 200, id="tokenize"),
        pytest.param("/tokenize", {"messages": CHAT["messages"]}, 200, id="tokenize a chat"),
        pytest.param("/detokenize", {"tokens": [5, 6, 7]}, 200, id="detokenize"),
    ],
)
async def test_an_answer_is_what_the_upstream_says(
    http: aiohttp.ClientSession, router: Router, path: str, body: dict[str, Any], status: int
) -> None:
    asked = {"model": GENERAL, **body}

    direct = await post(http, router.upstreams[GENERAL].url + path, asked)
    relayed = await post(http, router.url + path, asked)

    assert relayed == direct
    assert relayed[0] == status


async def test_the_tokens_of_a_text_come_back_as_the_text(http: aiohttp.ClientSession, router: Router) -> None:
    async with http.post(f"{router.url}/tokenize", json={"model": GENERAL, "prompt": "naïve 東京 🙂"}) as answer:
        tokens = (await answer.json())["tokens"]
    async with http.post(f"{router.url}/detokenize", json={"model": GENERAL, "tokens": tokens}) as answer:
        text = (await answer.json())["prompt"]

    assert text.removeprefix("<s>") == "naïve 東京 🙂"
