"""The table of failures, staged: the LLM servers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from tests.stand_ins.raw_server import JSON_HEAD

from .conftest import GENERAL, HARD, REASONING, Proxy
from .scene import CHAT, STREAMED, Scene, Seen, Stage, read_stream

TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."


async def ask(proxy: Proxy, **request: Any) -> Seen:
    return Seen(proxy=proxy, answer=await proxy.chat(HARD, **request))


async def leaves_another_endpoint(scene: Scene) -> Seen:
    other, url = await scene.start_upstream("other")
    proxy = await scene.proxy({GENERAL: {"affinity": "none", "endpoints": [scene.gone_url, url]}})
    await proxy.check_health()
    proxy.gateway.upstreams.serving(GENERAL).endpoints[0].is_down = False  # it went down after its last check
    seen = await ask(proxy, model=GENERAL)
    await proxy.check_health()
    assert other.requests_begun == 1
    return seen


async def leaves_a_fallback(scene: Scene) -> Seen:
    proxy = await scene.proxy({REASONING: {"endpoints": [scene.gone_url], "fallbacks": [GENERAL]}})
    seen = await ask(proxy)
    assert proxy.general.requests_begun == 1
    return seen


async def is_gone(scene: Scene, **request: Any) -> Seen:
    proxy = await scene.proxy({REASONING: {"endpoints": [scene.gone_url]}})
    return await ask(proxy, **request)


async def is_gone_for_who_named_it(scene: Scene) -> Seen:
    proxy = await scene.proxy({REASONING: {"endpoints": [scene.gone_url], "fallbacks": [GENERAL]}})
    seen = await ask(proxy, model=REASONING)
    assert proxy.general.requests_begun == 0
    return seen


async def takes_no_more_connections(scene: Scene) -> Seen:
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sockets.enter_context(connecting(full.getsockname()))
        url = "http://127.0.0.1:{1}".format(*full.getsockname())
        seen = await ask(await scene.proxy({REASONING: {"endpoints": [url], "timeouts": {"connect": 0.05}}}))
    assert seen.answer is not None
    assert "no connection within 0.05 s" in seen.answer.body["error"]["message"]
    return seen


def connecting(address: tuple[str, int]) -> socket.socket:
    """Return a socket that connects, or waits for ever to: Linux drops what does not fit a full backlog."""
    each = socket.socket()
    each.setblocking(False)  # noqa: FBT003 - takes it by position only
    each.connect_ex(address)
    return each


async def refuses(scene: Scene, status: int, fallbacks: list[str]) -> Seen:
    proxy = await scene.proxy({REASONING: {"fallbacks": fallbacks}})
    proxy.reasoning.refusal = (status, "no")
    return await ask(proxy)


async def finds_it_too_long(scene: Scene) -> Seen:
    proxy = await scene.proxy({REASONING: {"max_model_len": 4096}, GENERAL: {"max_model_len": 32_768}})
    proxy.reasoning.refusal = (400, TOO_LONG)
    seen = await ask(proxy)
    assert proxy.general.requests_begun == 1
    return seen


async def cannot_take_tools(scene: Scene) -> Seen:
    proxy = await scene.proxy({REASONING: {"tools": False}})
    seen = await ask(proxy, tools=[{"type": "function"}])
    assert proxy.general.requests_begun == 1
    return seen


async def is_full(scene: Scene) -> Seen:
    proxy = await scene.proxy({REASONING: {"max_in_flight": 1}})
    proxy.reasoning.held.clear()
    async with proxy.client.post(CHAT, json=STREAMED | {"model": REASONING}):
        seen = await ask(proxy)
        proxy.reasoning.held.set()
    return seen


async def never_begins(scene: Scene) -> Seen:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    url = await scene.start_raw(hang)
    return await ask(await scene.proxy({REASONING: {"endpoints": [url], "timeouts": {"first_byte": 0.05}}}))


async def breaks_off(scene: Scene) -> Seen:
    async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    proxy = await scene.proxy({GENERAL: {"endpoints": [await scene.start_raw(die)]}})
    return Seen(proxy=proxy, answer=await read_stream(proxy))


async def goes_on_for_ever(scene: Scene, pause_seconds: float, timeouts: dict[str, float]) -> Seen:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    url = await scene.start_raw(drip)
    proxy = await scene.proxy({GENERAL: {"endpoints": [url], "timeouts": timeouts}})
    return Seen(proxy=proxy, answer=await read_stream(proxy))


async def fails_five_times_beside_another(scene: Scene) -> Seen:
    failing, failing_url = await scene.start_upstream("failing")
    _, other_url = await scene.start_upstream("other")
    failing.refusal = (500, "no")
    proxy = await scene.proxy({GENERAL: {"affinity": "none", "endpoints": [failing_url, other_url]}})
    for _ in range(10):
        await proxy.chat(HARD, model=GENERAL)
    begun = failing.requests_begun
    seen = await ask(proxy, model=GENERAL)
    assert (begun, failing.requests_begun) == (5, 5)
    return seen


async def fails_requests_but_no_checks(scene: Scene) -> Seen:
    proxy = await scene.proxy()
    proxy.general.refusal = (500, "no")
    for _ in range(9):
        await proxy.chat(HARD, model=GENERAL)
    await proxy.check_health()
    seen = await ask(proxy, model=GENERAL)
    assert proxy.general.requests_begun == 10
    return seen


async def cannot_be_reached_five_times(scene: Scene) -> Seen:
    connections: list[None] = []

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        proxy = await scene.proxy({GENERAL: {"endpoints": [url]}})
        await proxy.check_health()
        for _ in range(5):
            await proxy.chat(HARD, model=GENERAL)
        tried = len(connections)
        seen = await ask(proxy, model=GENERAL)
        assert len(connections) == tried
    return seen


async def keeps_a_response_of_another_key(scene: Scene) -> Seen:
    proxy = await scene.proxy_with({"client_keys_env": ["TEAM_A", "TEAM_B"]}, TEAM_A="alpha", TEAM_B="beta")
    body = {"model": GENERAL, "input": HARD}
    first = await proxy.post("/v1/responses", body, x_api_key="alpha")
    body["previous_response_id"] = first.body["id"]
    return Seen(proxy=proxy, answer=await proxy.post("/v1/responses", body, x_api_key="beta"))


async def loses_its_client(scene: Scene) -> Seen:
    proxy = await scene.proxy()
    proxy.general.held.clear()
    async with proxy.client.post(CHAT, json=STREAMED) as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    await asyncio.wait_for(proxy.general.cancelled.wait(), 10)
    await proxy.until_ended(1)
    return Seen(proxy=proxy, answer=None)


async def has_a_client_that_stops_reading(scene: Scene) -> Seen:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Content-Length: 1000000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()

    url = await scene.start_raw(pour)
    proxy = await scene.proxy({GENERAL: {"endpoints": [url], "timeouts": {"between_chunks": 0.2}}})
    async with connected(proxy) as (reader, writer):
        body = msgspec.json.encode(STREAMED)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body)) + body)
        await reader.readexactly(1)
        await proxy.until_ended(1)
    return Seen(proxy=proxy, answer=None)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = proxy.client.make_url("/")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


FAILURES: dict[str, list[Stage]] = {
    "an endpoint is gone, and another serves the model": [leaves_another_endpoint],
    "a decided target is gone, and has a fallback": [leaves_a_fallback],
    "an upstream is gone, and there is no fallback": [
        is_gone,
        is_gone_for_who_named_it,
        takes_no_more_connections,
    ],
    "an upstream answers 502, 503 or 504, and there is a fallback": [
        partial(refuses, status=status, fallbacks=[GENERAL]) for status in (502, 503, 504)
    ],
    "an upstream answers 503, and there is no fallback": [partial(refuses, status=503, fallbacks=[])],
    "an upstream answers 500": [partial(refuses, status=500, fallbacks=[GENERAL])],
    "an upstream answers 429 or any other 4xx": [partial(refuses, status=429, fallbacks=[GENERAL])],
    "a target refuses a routed request as too long": [finds_it_too_long],
    "a target cannot take images, tools or that length": [cannot_take_tools],
    "a target has its `max_in_flight` requests": [is_full],
    "no first byte within `first_byte`, and there is no fallback": [never_begins],
    "an answer breaks off, stalls for `between_chunks`, or takes longer than `total`": [
        breaks_off,
        partial(goes_on_for_ever, pause_seconds=60, timeouts={"between_chunks": 0.05}),
        partial(goes_on_for_ever, pause_seconds=0.02, timeouts={"total": 0.5}),
    ],
    "an endpoint fails 5 times in a row, and another serves the model": [fails_five_times_beside_another],
    "requests for a sole endpoint fail, and its checks do not": [fails_requests_but_no_checks],
    "an endpoint cannot be reached 5 times in a row, and its checks fail, too": [cannot_be_reached_five_times],
    "a request is about a response that its key did not get": [keeps_a_response_of_another_key],
    "the client leaves, or reads nothing for `between_chunks`": [loses_its_client, has_a_client_that_stops_reading],
}
