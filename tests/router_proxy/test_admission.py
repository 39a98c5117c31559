"""Who may come in, and how many at once."""

import asyncio
import gzip
import io
import json
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, ClassVar

import pytest

from tests.stand_ins.raw_client import connect

from .conftest import EASY, GENERAL, HARD, Proxy, StartProxy

STREAMED = {"model": GENERAL, "stream": True}


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/chat/completions", {"model": GENERAL}), ("/tokenize", {"model": GENERAL})]
)
async def test_a_request_over_the_limit_is_refused_at_once(
    start_proxy: StartProxy, stand_in_url: str, path: str, body: dict[str, Any]
) -> None:
    proxy = await start_proxy(stand_in_url, {"limits": {"in_flight": 1}})
    proxy.general.held.clear()

    async with proxy.client.post("/v1/chat/completions", json=STREAMED):
        refused = await proxy.post(path, body)
        in_flight = await proxy.metric("semrouter_in_flight_requests")
        proxy.general.held.set()

    assert (refused.status, refused.body["error"]["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert in_flight == 1


async def test_a_refused_request_is_counted_as_rejected(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"limits": {"in_flight": 1}})
    proxy.general.held.clear()

    async with proxy.client.post("/v1/chat/completions", json=STREAMED):
        refused = await proxy.chat(HARD)
        proxy.general.held.set()

    assert refused.outcome == "rejected"
    assert await proxy.metric("semrouter_requests_total", outcome="rejected") == 1


async def test_a_place_is_free_again_when_its_request_ends(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"limits": {"in_flight": 1}})

    statuses = [(await proxy.chat(EASY)).status for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert await proxy.metric("semrouter_in_flight_requests") == 0


async def test_a_key_has_its_own_limit_and_takes_no_place_from_the_others(
    start_proxy: StartProxy, stand_in_url: str
) -> None:
    limits = {"client_keys_env": ["TEAM_A", "TEAM_B"], "limits": {"in_flight_per_key": 1}}
    proxy = await start_proxy(stand_in_url, limits, TEAM_A="alpha", TEAM_B="beta")
    proxy.general.held.clear()

    async with proxy.client.post("/v1/chat/completions", json=STREAMED, headers={"Authorization": "Bearer alpha"}):
        refused = await proxy.post("/v1/messages", {"model": GENERAL}, x_api_key="alpha")
        other = await proxy.post("/v1/chat/completions", {"model": GENERAL}, x_api_key="beta")
        proxy.general.held.set()

    assert (refused.status, refused.outcome, refused.headers["retry-after"]) == (429, "rejected", "1")
    assert refused.body["error"]["type"] == "rate_limit_error"
    assert other.status == 200


class TestClientKeys:
    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str) -> Proxy:
        keys = {"client_keys_env": ["TEAM_A", "TEAM_B"]}
        return await start_proxy(stand_in_url, keys, TEAM_A="alpha", TEAM_B="beta")

    @pytest.mark.parametrize(
        "headers", [{"Authorization": "Bearer alpha"}, {"Authorization": "bearer beta"}, {"x_api_key": "beta"}]
    )
    async def test_a_key_lets_its_holder_in_and_goes_no_further(self, proxy: Proxy, headers: dict[str, str]) -> None:
        answer = await proxy.post("/v1/chat/completions", {"model": GENERAL}, **headers)

        assert answer.status == 200
        assert not {"authorization", "x-api-key"} & answer.body["received"]["headers"].keys()

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Authorization": "Bearer gamma"}, {"Authorization": "Basic alpha"}, {"Authorization": "Bearer ünï"}],
    )
    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route", "/v1/embeddings"])
    async def test_nobody_else_comes_in(self, proxy: Proxy, path: str, headers: dict[str, str]) -> None:
        answer = await proxy.post(path, {"model": GENERAL}, **headers)

        assert (answer.status, answer.body["error"]["code"]) == (401, "invalid_api_key")
        assert proxy.general.requests_begun == 0

    async def test_a_refusal_is_counted_and_in_the_callers_format(self, proxy: Proxy) -> None:
        answer = await proxy.post("/v1/messages", {"model": GENERAL}, x_api_key="gamma")

        assert (answer.status, answer.body["error"]["type"]) == (401, "authentication_error")
        assert await proxy.metric("semrouter_requests_total", surface="messages", outcome="invalid") == 1

    async def test_models_need_a_key_and_probes_none(self, proxy: Proxy) -> None:
        statuses = [(await proxy.client.get(path)).status for path in ("/v1/models", "/health/ready", "/metrics")]

        assert statuses == [401, 200, 200]


LARGE = {**STREAMED, "x": "x" * 1_500_000}


def large_request(proxy: Proxy, headers: dict[str, str] | None = None) -> AbstractAsyncContextManager[Any]:
    body = io.BytesIO(json.dumps(LARGE).encode())
    return proxy.client.post("/v1/chat/completions", data=body, headers=headers)


class TestTheBytesOfBodies:
    """Bodies that are under way at once: large ones are bounded together, and keep no small one out."""

    LIMITS: ClassVar = {"limits": {"body_mib": 2, "bodies_mib": 4}}

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/route", "/v1/responses/resp_1"])
    async def test_a_body_without_room_is_refused(self, start_proxy: StartProxy, stand_in_url: str, path: str) -> None:
        proxy = await start_proxy(stand_in_url, self.LIMITS)
        proxy.general.held.clear()

        async with AsyncExitStack() as under_way:
            for _ in range(2):
                await under_way.enter_async_context(large_request(proxy))
            refused = await proxy.post(path, LARGE)
            small = await proxy.post("/v1/chat/completions", {"model": GENERAL})
            proxy.general.held.set()

        assert (refused.status, refused.body["error"]["code"], refused.headers["retry-after"]) == (
            503,
            "overloaded",
            "1",
        )
        assert small.status == 200

    async def test_unfinished_bodies_count_as_they_come(self, start_proxy: StartProxy, stand_in_url: str) -> None:
        proxy = await start_proxy(stand_in_url, self.LIMITS)
        unfinished = [await connect(str(proxy.client.make_url(""))) for _ in range(4)]
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Length: 2000000\r\n\r\n"
        for client in unfinished:
            client.send(head, b" " * 1_500_000)

        async with asyncio.timeout(60):
            while not await proxy.metric("semrouter_requests_total", outcome="rejected"):
                pass

        for client in unfinished:
            client.close()

    async def test_an_unpacked_body_counts_as_what_it_became(self, start_proxy: StartProxy, stand_in_url: str) -> None:
        proxy = await start_proxy(stand_in_url, self.LIMITS)
        proxy.general.held.clear()

        async with AsyncExitStack() as under_way:
            for _ in range(2):
                await under_way.enter_async_context(large_request(proxy))
            packed = gzip.compress(json.dumps(LARGE).encode())
            refused = await proxy.post("/v1/chat/completions", packed, Content_Encoding="gzip")
            proxy.general.held.set()

        assert (len(packed) < 10_000, refused.status) == (True, 503)

    async def test_one_key_takes_no_more_than_half(self, start_proxy: StartProxy, stand_in_url: str) -> None:
        form = self.LIMITS | {"client_keys_env": ["TEAM_A", "TEAM_B"]}
        proxy = await start_proxy(stand_in_url, form, TEAM_A="alpha", TEAM_B="beta")
        proxy.general.held.clear()

        async with large_request(proxy, {"x-api-key": "alpha"}):
            refused = await proxy.post("/v1/chat/completions", LARGE, x_api_key="alpha")
            other = await proxy.post("/v1/chat/completions", LARGE | {"stream": False}, x_api_key="beta")
            proxy.general.held.set()

        assert (refused.status, refused.body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert other.status == 200

    async def test_room_is_free_again_when_requests_end(self, start_proxy: StartProxy, stand_in_url: str) -> None:
        proxy = await start_proxy(stand_in_url, self.LIMITS)

        statuses = [(await proxy.post("/v1/embeddings", LARGE | {"stream": False})).status for _ in range(6)]
        statuses += [(await proxy.post("/v1/embeddings", b"[" + b" " * 1_500_000)).status for _ in range(6)]

        assert statuses == [200] * 6 + [400] * 6


async def test_a_preview_takes_a_place_like_any_request(start_proxy: StartProxy, stand_in_url: str) -> None:
    proxy = await start_proxy(stand_in_url, {"limits": {"in_flight": 1}})
    proxy.general.held.clear()

    async with proxy.client.post("/v1/chat/completions", json=STREAMED):
        refused = await proxy.post("/v1/route", {"text": HARD})
        proxy.general.held.set()

    assert (refused.status, (await proxy.post("/v1/route", {"text": HARD})).status) == (503, 200)
