"""Trying again, at the socket: who gets a request that somebody did not answer, and who is left alone."""

import asyncio

import pytest

from tests.router_proxy.conftest import GENERAL, HARD, Proxy, StartProxy, StartRaw
from tests.stand_ins.raw_server import JSON_HEAD

from .test_relay import CHAT, STREAMED, served_by, status_of


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


class TestAConnectionThatDies:
    """On a connection in use before, as on a new one: an endpoint never gets the same request twice."""

    @pytest.fixture
    def received(self) -> list[None]:
        return []

    @pytest.fixture
    async def dying_url(self, start_raw: StartRaw, received: list[None]) -> str:
        """Answer the first request of each connection and close on the second, which it has read."""
        known: list[asyncio.StreamWriter] = []

        async def die(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(None)
            if writer in known:
                raise ConnectionResetError
            known.append(writer)
            writer.write(JSON_HEAD + b"Content-Length: 2\r\n\r\n{}")

        return await start_raw(die)

    async def test_the_request_is_not_repeated_there(
        self, start_proxy: StartProxy, dying_url: str, received: list[None]
    ) -> None:
        proxy = await start_proxy("127.0.0.1:1", served_by(dying_url))

        statuses = [await status_of(proxy) for _ in range(2)]

        assert (statuses, len(received)) == ([200, 502], 2)

    async def test_another_endpoint_may_have_it(
        self, proxy: Proxy, start_proxy: StartProxy, dying_url: str, received: list[None]
    ) -> None:
        both = await start_proxy("127.0.0.1:1", served_by(dying_url, proxy.urls[GENERAL]))

        statuses = [await status_of(both) for _ in range(3)]

        assert (statuses, len(received), proxy.general.requests_begun) == ([200, 200, 200], 2, 2)


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


async def test_an_upstream_that_is_gone_is_left_alone_after_failures_in_a_row(
    start_proxy: StartProxy, start_raw: StartRaw
) -> None:
    tries: list[None] = []

    async def fail(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(None)
        writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(fail)))

    statuses = [await status_of(proxy) for _ in range(8)]

    assert statuses == [500] * 5 + [502] * 3
    assert len(tries) == 5


async def test_refused_requests_never_count_against_an_upstream(start_proxy: StartProxy, start_raw: StartRaw) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n")

    proxy = await start_proxy("127.0.0.1:1", served_by(await start_raw(refuse)))

    assert [await status_of(proxy) for _ in range(8)] == [429] * 8
