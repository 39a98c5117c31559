"""Trying again, at the socket: who gets a request that somebody did not answer, and who is left alone."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from msgspec import structs

from local.stack.processes import free_ports
from router_proxy.errors import ConfigurationInvalid
from router_proxy.upstreams.connections import Connections
from tests.router_proxy.conftest import GENERAL, HARD, REASONING, Proxy, StartProxy, StartRaw, StartUpstream
from tests.stand_ins.raw_server import JSON_HEAD, reset
from tests.stand_ins.upstream import EchoUpstream

from .test_relay import CHAT, STREAMED, served_by, status_of

Ends = Callable[[asyncio.StreamWriter], None]


async def test_an_idle_connection_that_the_upstream_closed_is_not_used_again(
    start_proxy: StartProxy, start_raw: StartRaw
) -> None:
    received: list[None] = []

    async def answer_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(None)
        writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(answer_once)))

    statuses = [await status_of(proxy) for _ in range(3)]

    assert (statuses, len(received)) == ([200, 200, 200], 3)


class TestAConnectionInUseBeforeThatDies:
    """Most likely it idled too long, and the request was never read: once more, over a fresh one."""

    @pytest.fixture
    def received(self) -> list[None]:
        return []

    @pytest.fixture
    def dying_url(self, start_raw: StartRaw, received: list[None], last_words: bytes, ends: Ends) -> Awaitable[str]:
        """Answer the first request of each connection; on the second say `last_words` and end."""
        known: list[asyncio.StreamWriter] = []

        async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(None)
            if writer in known:
                writer.write(last_words)
                await writer.drain()
                ends(writer)
            known.append(writer)
            writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n{}")

        return start_raw(die)

    @pytest.mark.parametrize("ends", [asyncio.StreamWriter.close, reset], ids=["closed", "reset"])
    @pytest.mark.parametrize("last_words", [b""])
    @pytest.mark.parametrize("bytes_sent", [100, 3_000_000])
    async def test_is_replaced_by_a_fresh_one(
        self, start_proxy: StartProxy, dying_url: Awaitable[str], received: list[None], bytes_sent: int
    ) -> None:
        proxy = await start_proxy("127.0.0.1:1", served_by(await dying_url))
        body = STREAMED | {"messages": "x" * bytes_sent}

        statuses = [(await proxy.post(CHAT, body)).status for _ in range(4)]

        assert (statuses, len(received)) == ([200] * 4, 6)
        assert await proxy.metric("semrouter_upstream_requests_total", result="2xx") == 4

    @pytest.mark.parametrize("ends", [asyncio.StreamWriter.close])
    @pytest.mark.parametrize("last_words", [b"HTTP/1.1 200 OK\r\nContent-", JSON_HEAD + b"Content-Length: 9\r\n\r\n"])
    async def test_is_not_replaced_once_an_answer_had_begun(
        self, start_proxy: StartProxy, dying_url: Awaitable[str], received: list[None]
    ) -> None:
        proxy = await start_proxy("127.0.0.1:1", served_by(await dying_url))

        statuses = [await status_of(proxy) for _ in range(2)]

        assert (statuses, len(received)) == ([200, 502], 2)


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_request_that_a_new_connection_died_of_is_not_repeated(
    start_proxy: StartProxy, start_raw: StartRaw, last_words: bytes
) -> None:
    received: list[None] = []

    async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(None)
        writer.write(last_words)
        writer.close()

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(die)))

    assert (await status_of(proxy), len(received)) == (502, 1)


class Names(AbstractResolver):
    """A name server for one name, whose address moves."""

    def __init__(self) -> None:
        self.address = ""
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        place = ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)
        return [place]

    async def close(self) -> None:
        pass


async def test_a_name_whose_address_refuses_is_resolved_again(start_proxy: StartProxy) -> None:
    names, upstream = Names(), EchoUpstream(GENERAL)
    names.address = "127.0.0.2"
    (port,) = free_ports(1)
    async with TestServer(upstream.app, host="127.0.0.2", port=port):
        proxy = await start_proxy("127.0.0.1:1", served_by(f"http://gpu.test:{port}"))
        proxy.live.current = structs.replace(proxy.gateway, connections=Connections(names))
        first = await status_of(proxy)
        names.address = "127.0.0.3"
    async with TestServer(EchoUpstream(GENERAL).app, host="127.0.0.3", port=port):
        moved = [await status_of(proxy) for _ in range(3)]
        asked = names.asked
    await proxy.gateway.connections.close()

    assert ([first], moved) == ([200], [200] * 3)
    assert asked <= 4
    assert await proxy.metric("semrouter_upstream_requests_total", result="unreachable") == 0


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        pytest.param(served_by("http://gpu..team-a:8000"), "k", "endpoints.0.: expected a host", id="no name"),
        pytest.param(served_by("http://" + "x" * 300 + ":1"), "k", "endpoints.0.: expected a host", id="too long"),
        pytest.param(served_by("http://a:1", api_key_env="KEY"), "k\0", "hold no control characters", id="null"),
        pytest.param(served_by("http://me:pass@a:1", api_key_env="KEY"), "k", "a user in the URL, got both", id="both"),
    ],
)
async def test_an_endpoint_that_cannot_be_asked_is_refused_at_load(
    start_proxy: StartProxy, settings: dict[str, Any], key: str, reason: str
) -> None:
    with pytest.raises(ConfigurationInvalid, match=reason):
        await start_proxy("127.0.0.1:1", settings, KEY=key)


async def test_user_and_password_of_an_endpoint_reach_it_and_nobody_else(
    start_proxy: StartProxy, start_upstream: StartUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    _, url = await start_upstream("alive")
    with_password = url.replace("http://", "http://me:pass%40word@")
    open_to_it = await start_proxy("127.0.0.1:1", served_by(with_password))

    answer = await open_to_it.post(CHAT, {"model": GENERAL})
    await open_to_it.check_health()
    shown = await open_to_it.metrics()

    assert answer.body["received"]["headers"]["authorization"] == "Basic bWU6cGFzc0B3b3Jk"
    assert url.rstrip("/") in shown
    assert "word" not in shown + caplog.text


@pytest.mark.parametrize("ends", ["breaks off", "is late"])
async def test_an_answer_without_a_first_byte_is_taken_over_too(
    proxy: Proxy, start_proxy: StartProxy, start_raw: StartRaw, ends: str
) -> None:
    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        if ends == "is late":
            await reader.read()
        raise ConnectionResetError

    settings = served_by(await start_raw(begin), proxy.urls[GENERAL], timeouts={"first_byte": 0.5})
    both = await start_proxy("127.0.0.1:1", settings)

    assert (await both.chat(HARD, model=GENERAL, mode="off")).status == 200


async def test_the_last_answer_is_passed_on_although_a_breaker_keeps_another_shut(
    start_proxy: StartProxy, start_raw: StartRaw, gone_url: str
) -> None:
    async def busy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Loading\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(busy), gone_url))
    _, gone = proxy.gateway.upstreams.serving(GENERAL).endpoints
    while gone.breaker.would_admit:
        gone.breaker.failed()

    async with proxy.client.post(CHAT, json=STREAMED) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "9")


async def test_another_endpoint_takes_over_before_the_first_byte(
    proxy: Proxy, start_proxy: StartProxy, gone_url: str
) -> None:
    alive = proxy.urls[GENERAL]
    both = await start_proxy("127.0.0.1:1", served_by(gone_url, alive))

    statuses = [(await both.chat(HARD, model=GENERAL, mode="off")).status for _ in range(3)]

    assert statuses == [200, 200, 200]


class TestOneClientsFailures:
    """What comes of one client's requests takes no endpoint away from the others."""

    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        """Answer as the request says: `late`, `reset`, a status; anything else with 200."""

        async def fail(request: web.Request) -> web.Response:
            asked = await request.text()
            if "late" in asked:
                await asyncio.Event().wait()
            if "reset" in asked and request.transport is not None:
                request.transport.abort()
            status = re.search(r"status (\d+)", asked)
            return web.json_response({}, status=int(status[1]) if status else 200)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", fail)
        server = TestServer(app)
        await server.start_server()
        yield str(server.make_url(""))
        await server.close()

    @pytest.mark.parametrize(
        ("asked", "status"),
        [("late", 504), ("reset", 502), *((f"status {status}", status) for status in (500, 501, 502, 503, 504))],
    )
    async def test_leave_a_sole_endpoint_to_the_others(
        self, start_proxy: StartProxy, url: str, asked: str, status: int
    ) -> None:
        proxy = await start_proxy("127.0.0.1:1", served_by(url, timeouts={"first_byte": 0.1}))
        await proxy.check_health()

        failed = [(await proxy.chat(asked, model=GENERAL, mode="off")).status for _ in range(7)]
        others = [(await proxy.chat(HARD, model=GENERAL, mode="off")).status for _ in range(3)]
        async with proxy.client.get("/health/ready") as readiness:
            ready = readiness.status

        assert (failed, others, ready) == ([status] * 7, [200] * 3, 200)

    @pytest.mark.parametrize("asked", ["status 500", "status 504"])
    async def test_say_nothing_about_an_endpoint_in_metrics(
        self, start_proxy: StartProxy, url: str, asked: str
    ) -> None:
        proxy = await start_proxy("127.0.0.1:1", served_by(url))
        for _ in range(7):
            await proxy.chat(asked, model=GENERAL, mode="off")

        await proxy.check_health()

        assert await proxy.metric("semrouter_endpoint_up", upstream=GENERAL) == 1

    async def test_keep_the_caller_placed_with_the_model_named(
        self, proxy: Proxy, start_proxy: StartProxy, stand_in_url: str, url: str
    ) -> None:
        """A model whose requests failed is not given up for its fallback either."""
        form = {"upstreams": {GENERAL: {"endpoints": [proxy.urls[GENERAL]]}}}
        form["upstreams"][REASONING] = {"endpoints": [url], "fallbacks": [GENERAL]}
        routed = await start_proxy(stand_in_url, form)
        for _ in range(7):
            await routed.chat("status 500", model=REASONING)

        answers = [await routed.chat(HARD) for _ in range(3)]

        assert [answer.headers["x-semrouter-upstream"] for answer in answers] == [REASONING] * 3


@pytest.mark.parametrize("status", [500, 503])
async def test_an_endpoint_that_fails_every_request_gets_few_while_another_answers(
    proxy: Proxy, start_proxy: StartProxy, start_raw: StartRaw, status: int
) -> None:
    tries: list[None] = []

    async def fail(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(None)
        writer.write(b"HTTP/1.1 %d Broken\r\nContent-Length: 0\r\n\r\n" % status)

    endpoints = [await start_raw(fail), proxy.urls[GENERAL]]
    both = await start_proxy("127.0.0.1:1", {"upstreams": {GENERAL: {"affinity": "none", "endpoints": endpoints}}})

    statuses = [await status_of(both) for _ in range(50)]

    passed_on = statuses.count(500)
    assert passed_on == (len(tries) if status == 500 else 0)
    assert statuses.count(200) == 50 - passed_on
    assert 5 <= len(tries) <= 10


async def test_an_endpoint_is_left_alone_once_its_checks_fail_too(start_proxy: StartProxy) -> None:
    connections: list[None] = []

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        proxy = await start_proxy("127.0.0.1:1", served_by(url), SEMROUTER_HEALTH_INTERVAL_SECONDS="3600")
        await proxy.check_health()
        checks = len(connections)

        statuses = [await status_of(proxy) for _ in range(8)]

    assert statuses == [502] * 8
    assert len(connections) - checks <= 6  # and one more, should this take two seconds


async def test_refused_requests_never_count_against_an_upstream(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n")

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(refuse)))

    assert [await status_of(proxy) for _ in range(8)] == [429] * 8
