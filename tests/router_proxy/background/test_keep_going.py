"""The net under work beside requests: whatever a round comes to, the next one comes."""

import asyncio
import logging

import pytest

from router_proxy.background.keep_going import keep_going
from router_proxy.record.metrics import Metrics
from tests.router_proxy.conftest import GENERAL, StartProxy

ODD = [ValueError("key-of-somebody"), RecursionError("key-of-somebody"), UnicodeError(), OSError(1, "key-of-somebody")]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_a_round_that_fails_is_logged_by_its_kind_and_counted(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    metrics, rounds, again = Metrics(), [error], asyncio.Event()

    async def work() -> None:
        if rounds:
            raise rounds.pop()
        again.set()

    with caplog.at_level(logging.ERROR):
        going = asyncio.create_task(keep_going("health checks", work, metrics, pause_seconds=0))
        await asyncio.wait_for(again.wait(), 30)
        going.cancel()

    assert b'semrouter_background_failures_total{task="health checks"} 1.0' in metrics.render()
    assert f"health checks failed and goes on: {type(error).__name__} in {__file__}:" in caplog.text
    assert "key-of-somebody" not in caplog.text


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b'{"data": null}', id="no list"),
        pytest.param(b'{"data": [{"id": 7}]}', id="a number for a name"),
        pytest.param(b'{"data": [{"id": "m", "max_model_len": -1}]}', id="a length below zero"),
        pytest.param(b'{"data": [{"id": "m", "max_model_len": 1e400}]}', id="an endless length"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b" " * 30_000_000, id="30 MB"),
    ],
)
async def test_whatever_a_server_lists_it_is_checked_again_and_serves(start_proxy: StartProxy, listed: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(listed) + listed)
        try:
            await writer.drain()
        except ConnectionError:  # it has read enough
            return
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        proxy = await start_proxy("127.0.0.1:1", {"upstreams": {GENERAL: {"endpoints": [url]}}})

        for _ in range(2):
            await proxy.check_health()

        (endpoint,) = proxy.gateway.upstreams.serving(GENERAL).endpoints
        assert (endpoint.is_down, endpoint.max_model_len) == (False, None)
        assert await proxy.metric("semrouter_background_failures_total") == 0
