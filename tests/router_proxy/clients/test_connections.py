"""How many connections there may be and how long each may take, at the socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from router_proxy.clients.listening import connections_that_fit
from tests.router_proxy.conftest import GENERAL, Proxy, StartProxy
from tests.router_proxy.scene import until_metric
from tests.router_proxy.test_commands import FEW_DESCRIPTORS, announced_url, serving
from tests.stand_ins.raw_client import RawClient, connect, exchange, post
from tests.stand_ins.upstream import EchoUpstream

GET = b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n"
ENDED = "semrouter_connections_ended_total"


def url_of(proxy: Proxy) -> str:
    return str(proxy.client.make_url(""))


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def open_one(proxy: Proxy, opened: AsyncExitStack, *sent: bytes) -> RawClient:
    client = await connect(url_of(proxy))
    opened.callback(client.close)
    client.send(*sent)
    return client


class TestTime:
    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"P", id="one byte"),
            pytest.param(b"GET /health/live HTTP/1.1\r\nHost: he", id="half a head"),
            pytest.param(b"GET /health/live HTTP/1.1\r\nHost: here\r\nX: y\r\n", id="a head without its end"),
            pytest.param(b"\r\n\r\n", id="empty lines"),
        ],
    )
    async def test_a_head_that_does_not_come_ends_the_connection(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack, sent: bytes
    ) -> None:
        proxy = await start_proxy(stand_in_url, SEMROUTER_HEAD_SECONDS="0.1")

        client = await open_one(proxy, opened, sent)

        assert await client.closed() == b""
        assert await proxy.metric(ENDED, reason="slow_head") == 1

    async def test_a_head_that_drips_has_no_longer(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack
    ) -> None:
        proxy = await start_proxy(stand_in_url, SEMROUTER_HEAD_SECONDS="0.3")
        client = await open_one(proxy, opened, b"GET / HTTP/1.1\r\nX: ")
        ended = asyncio.create_task(client.closed())

        while not ended.done():
            client.send(b"G")
            await asyncio.wait({ended}, timeout=0.01)

        assert await proxy.metric(ENDED, reason="slow_head") == 1

    async def test_the_second_head_has_its_own_time(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack
    ) -> None:
        proxy = await start_proxy(stand_in_url, SEMROUTER_HEAD_SECONDS="0.1")
        client = await open_one(proxy, opened, GET)
        first = await client.answer()

        client.send(GET[:20])

        assert (first.status, await client.closed()) == (200, b"")
        assert await proxy.metric(ENDED, reason="slow_head") == 1

    async def test_a_connection_at_rest_is_closed_in_due_time(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack
    ) -> None:
        proxy = await start_proxy(stand_in_url, SEMROUTER_IDLE_SECONDS="0.1")
        client = await open_one(proxy, opened, GET)

        assert (await client.answer()).status == 200
        assert await client.closed() == b""

    async def test_a_request_under_way_has_all_the_time_it_needs(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack
    ) -> None:
        limits = {"SEMROUTER_HEAD_SECONDS": "0.1", "SEMROUTER_IDLE_SECONDS": "0.1"}
        proxy = await start_proxy(stand_in_url, **limits)
        proxy.general.held.clear()
        body = b'{"model": "%s", "stream": true}' % GENERAL.encode()
        streaming = await open_one(proxy, opened, post("/v1/chat/completions", body, b"Connection: close"))
        silent = await open_one(proxy, opened)

        assert await silent.closed() == b""  # as long as the other would have had, too
        proxy.general.held.set()

        assert b"[DONE]" in await streaming.closed()

    async def test_an_answer_that_nobody_reads_is_given_up(
        self, start_proxy: StartProxy, stand_in_url: str, opened: AsyncExitStack
    ) -> None:
        proxy = await start_proxy(stand_in_url, SEMROUTER_IDLE_SECONDS="0.2")
        many = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n" * 2000
        await open_one(proxy, opened, many)  # what it gets lies in its buffers, far more than they take

        await until_metric(proxy, ENDED, reason="unread")


class TestNumber:
    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str) -> Proxy:
        """Return a proxy for three connections, one of which asks for metrics here."""
        proxy = await start_proxy(stand_in_url, SEMROUTER_CONNECTIONS="3")
        await proxy.metrics()
        return proxy

    async def test_one_too_many_is_told_to_come_back(self, proxy: Proxy, opened: AsyncExitStack) -> None:
        proxy.general.held.clear()
        body = b'{"model": "%s", "stream": true}' % GENERAL.encode()
        for _ in range(3):
            busy = await open_one(proxy, opened, post("/v1/chat/completions", body))
            await busy.begun()

        refused = await exchange(url_of(proxy), GET)

        assert (refused.status, refused.version, refused.headers["retry-after"]) == (503, "HTTP/1.1", "1")
        assert (refused.error["code"], "server" in refused.headers) == ("overloaded", False)
        proxy.general.held.set()

    @pytest.mark.parametrize("sent", [b"", GET[:20], GET], ids=["silent", "half a head", "between requests"])
    async def test_the_idle_make_room(self, proxy: Proxy, opened: AsyncExitStack, sent: bytes) -> None:
        for _ in range(10):
            await open_one(proxy, opened, sent)

        answers = [(await exchange(url_of(proxy), GET)).status for _ in range(5)]

        assert answers == [200] * 5
        assert await proxy.metric(ENDED, reason="idle_for_another") >= 1


async def test_short_descriptors_refuse_clients_before_they_fail_requests(tmp_path: Path) -> None:
    upstream = EchoUpstream(GENERAL)
    upstream.held.clear()
    body = b'{"model": "%s", "stream": true}' % GENERAL.encode()
    async with (
        TestServer(upstream.app) as server,
        serving(tmp_path, str(server.make_url("/")).rstrip("/"), descriptors="few") as process,
    ):
        url = await announced_url(process)
        clients = [await connect(url) for _ in range(200)]
        for client in clients:
            client.send(post("/v1/chat/completions", body, b"Connection: close"))
        heads = [await client.head_if_any() for client in clients]
        upstream.held.set()
        rests = [await client.closed() for client in clients]

    served = [rest for head, rest in zip(heads, rests, strict=True) if b" 200 " in head]
    refused = [head for head in heads if b" 503 " in head]
    assert len(served) == (FEW_DESCRIPTORS - 64) // 3
    assert all(rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") for rest in served)
    assert all(b"Retry-After: 1\r\n" in head for head in refused)
    assert len(refused) >= 1
    assert len(served) + len(refused) + heads.count(b"") == len(clients)


@pytest.mark.parametrize(("wanted", "fits"), [(10, 10), (10**9, None)])
def test_descriptors_are_left_for_the_upstreams(wanted: int, fits: int | None) -> None:
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert connections_that_fit(wanted) == (fits or (descriptors - 64) // 3)
