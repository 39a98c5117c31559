"""Between proxy and upstream, at the socket: streaming, cancelling, retrying, and upstreams that misbehave."""

import asyncio
import gzip
from typing import Any

import aiohttp
import pytest

from tests.router_proxy.conftest import GENERAL, HARD, Proxy, StartProxy, StartRaw
from tests.stand_ins.raw_server import JSON_HEAD, reset

STREAMED = {"model": GENERAL, "stream": True, "messages": [{"role": "user", "content": HARD}]}
CHAT = "/v1/chat/completions"


def served_by(url: str, *more: str, **extra: Any) -> dict[str, Any]:
    return {"upstreams": {GENERAL: {"endpoints": [url, *more], **extra}}}


async def status_of(proxy: Proxy) -> int:
    async with proxy.client.post(CHAT, json=STREAMED) as response:
        return response.status


async def test_chunks_arrive_as_the_upstream_sends_them(proxy: Proxy) -> None:
    proxy.general.held.clear()

    async with proxy.client.post(CHAT, json=STREAMED) as response:
        first = await response.content.readuntil(b"\n\n")
        proxy.general.held.set()
        rest = await response.read()

    assert b'"from "' in first
    assert rest.endswith(b"data: [DONE]\n\n")
    assert response.headers["Content-Type"] == "text/event-stream"


async def test_an_upstream_sends_no_faster_than_the_client_reads(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    chunk, chunks = b"x" * 65_536, 1000
    held_up = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Content-Length: %d\r\n\r\n" % (len(chunk) * chunks))
        for _chunk in range(chunks):
            writer.write(chunk)
            drained = asyncio.ensure_future(writer.drain())
            if not (await asyncio.wait({drained}, timeout=1))[0]:
                held_up.set()
            await drained

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(pour)))

    async with proxy.client.post(CHAT, json=STREAMED) as response:
        await asyncio.wait_for(held_up.wait(), 60)
        body = await response.read()

    assert len(body) == len(chunk) * chunks


async def test_a_client_that_leaves_cancels_the_upstream(proxy: Proxy) -> None:
    proxy.general.held.clear()

    async with proxy.client.post(CHAT, json=STREAMED) as response:
        await response.content.readuntil(b"\n\n")
        response.close()

    await asyncio.wait_for(proxy.general.cancelled.wait(), 10)
    await proxy.until_ended(1)
    assert await proxy.metric("semrouter_requests_total", upstream="cancelled") == 1


async def test_a_client_that_leaves_before_the_answer_cancels_the_upstream(
    start_proxy: StartProxy, start_raw: StartRaw
) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        left.set()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(hang)))

    asking = asyncio.create_task(status_of(proxy))
    await arrived.wait()
    asking.cancel()

    await asyncio.wait_for(left.wait(), 10)
    await proxy.until_ended(1)
    assert await proxy.metric("semrouter_requests_total", upstream="cancelled") == 1


async def test_an_upstreams_own_error_passes_unchanged(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    body = b'{"object":"error","message":"too long"}'

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: %d\r\n" % len(body)
        writer.write(head + b"Content-Type: application/json\r\n\r\n" + body)

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(refuse)))

    async with proxy.client.post(CHAT, json=STREAMED) as response:
        assert (response.status, response.reason, await response.read()) == (429, "Slow Down", body)
        assert response.headers["Retry-After"] == "7"
        assert response.headers["x-semrouter-outcome"] == "off"
    assert await proxy.metric("semrouter_requests_total", outcome="off", upstream="4xx") == 1


async def test_a_compressed_answer_stays_compressed(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    body = gzip.compress(b'{"n": 1}')

    async def compressed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(compressed)))

    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(proxy.client.make_url(CHAT), json=STREAMED) as response,
    ):
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == body


async def test_an_upstream_switches_no_protocols(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    async def switch(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc")
        await writer.drain()
        writer.close()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(switch)))

    assert await status_of(proxy) == 502


async def test_nobody_at_the_endpoint(start_proxy: StartProxy, gone_url: str) -> None:
    proxy = await start_proxy("127.0.0.1:1", served_by(gone_url))

    answer = await proxy.chat(HARD, model=GENERAL, mode="off")

    assert (answer.status, answer.body["error"]["code"]) == (502, "upstream_unreachable")
    assert answer.outcome == "off"
    assert await proxy.metric("semrouter_requests_total", outcome="off", upstream="unreachable") == 1


async def test_an_upstream_that_never_answers(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    url = await start_raw(hang)
    proxy = await start_proxy("127.0.0.1:1", served_by(url, timeouts={"first_byte": 0.05}))

    answer = await proxy.chat(HARD, model=GENERAL, mode="off")

    assert (answer.status, answer.body["error"]["code"]) == (504, "upstream_timed_out")
    assert await proxy.metric("semrouter_requests_total", outcome="off", upstream="timed_out") == 1


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(JSON_HEAD + b"Content-Length: 100\r\n\r\n{", id="less than its content length"),
        pytest.param(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", id="half a chunk"),
    ],
)
async def test_an_answer_cut_off_is_cut_off_for_the_client_too(
    start_proxy: StartProxy, start_raw: StartRaw, begun: bytes
) -> None:
    async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        writer.close()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(die)))

    with pytest.raises(aiohttp.ClientPayloadError):
        await (await proxy.client.post(CHAT, json=STREAMED)).read()
    assert await proxy.metric("semrouter_requests_total", upstream="aborted") == 1


@pytest.mark.parametrize("bytes_sent", [10, 300_000], ids=["short", "long"])
@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "closed"])
async def test_an_answer_that_ends_with_its_connection_is_whole_only_when_that_is_closed(
    start_proxy: StartProxy,
    start_raw: StartRaw,
    bytes_sent: int,
    is_reset: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    read = asyncio.Event()

    async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Connection: close\r\n\r\n" + b"x" * bytes_sent)
        await writer.drain()
        await read.wait()
        if is_reset:
            reset(writer)
        else:
            writer.close()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(end)))
    async with proxy.client.post(CHAT, json=STREAMED) as response:
        begun = await response.content.readexactly(bytes_sent)
        read.set()
        if is_reset:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        else:
            assert begun + await response.read() == b"x" * bytes_sent

    assert await proxy.metric("semrouter_requests_total", upstream="aborted" if is_reset else "2xx") == 1


async def test_a_stream_that_stops_is_cut_off(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        await writer.drain()
        await reader.read()

    url = await start_raw(stop)
    proxy = await start_proxy("127.0.0.1:1", served_by(url, timeouts={"between_chunks": 0.05}))

    with pytest.raises(aiohttp.ClientPayloadError):
        await (await proxy.client.post(CHAT, json=STREAMED)).read()


async def test_the_upstream_gets_our_key_and_not_the_clients(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(
        stand_in_url, {"upstreams": {GENERAL: {"api_key_env": "GENERAL_KEY"}}}, GENERAL_KEY="ours"
    )

    answer = await proxy.post(CHAT, {"model": GENERAL}, Authorization="Bearer theirs", X_Request_Id="trace-7")

    received = answer.body["received"]["headers"]
    assert received["authorization"] == "Bearer ours"
    assert received["content-type"] == "application/json"
    assert received["x-request-id"] == answer.headers["x-request-id"] == "trace-7"
    assert "accept-encoding" in received


async def test_client_credentials_cross_with_passthrough(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"auth": "passthrough"}}})

    answer = await proxy.post(CHAT, {"model": GENERAL}, Authorization="Bearer theirs")

    assert answer.body["received"]["headers"]["authorization"] == "Bearer theirs"


@pytest.mark.parametrize(
    ("arrived", "told"),
    [
        ({}, {"for": "127.0.0.1", "proto": "http", "host": "here"}),
        (
            {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "llm.test"},
            {"for": "192.0.2.7, 127.0.0.1", "proto": "https", "host": "llm.test"},
        ),
    ],
)
async def test_an_upstream_is_told_who_asked_whom(proxy: Proxy, arrived: dict[str, str], told: dict[str, str]) -> None:
    async with proxy.client.post(CHAT, json={"model": GENERAL}, headers={"Host": "here", **arrived}) as response:
        received = (await response.json())["received"]["headers"]

    assert {name: received[f"x-forwarded-{name}"] for name in told} == told


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("{endpoint}/base/v1/chat/completions?a=%2f", "/v1/chat/completions?a=%2f"),
        ("/base/v1/x", "/v1/x"),
        ("/v1/x", "/v1/x"),
        ("http://gpu-7.internal:8000/v1/x", None),
        ("https://127.0.0.1:1/v1/x", None),
        ("//gpu-7.internal/v1/x", None),
        ("/\\gpu-7.internal/v1/x", None),
        ("gpu-7.internal:8000/v1/x", None),
        ("http://[gpu", None),
        ("{endpoint}/base//gpu-7.internal/", None),
    ],
)
async def test_a_location_never_shows_where_an_upstream_is(
    start_proxy: StartProxy, start_raw: StartRaw, location: str, shown: str | None
) -> None:
    places: list[str] = []

    async def move(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = location.format(endpoint=places[0]).encode()
        writer.write(b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")

    places.append(await start_raw(move))
    proxy = await start_proxy("127.0.0.1:1", served_by(places[0] + "/base"))

    async with proxy.client.post(CHAT, json=STREAMED, allow_redirects=False) as response:
        assert (response.status, response.headers.get("Location")) == (307, shown)


async def test_the_query_reaches_the_upstream_as_sent(proxy: Proxy) -> None:
    answer = await proxy.post(CHAT + "?a=b%26c&d", {"model": GENERAL})

    assert answer.body["received"]["path"] == CHAT + "?a=b%26c&d"
