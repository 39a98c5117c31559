"""Responses that their server keeps: requests about them, or going on from them, go to that server."""

import asyncio
import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from router_proxy.upstreams.response_memory import Place, ResponseMemory
from tests.router_proxy.conftest import EASY, GENERAL, HARD, REASONING, Proxy, StartProxy, StartRaw
from tests.stand_ins.raw_server import JSON_HEAD

PATH = "/v1/responses"


async def respond(proxy: Proxy, **body: Any) -> Any:
    return await proxy.post(PATH, {"model": "router", **body}, mode="auto")


async def test_a_request_going_on_from_an_answer_goes_to_who_gave_it(proxy: Proxy) -> None:
    first = await respond(proxy, input=HARD)

    second = await respond(proxy, input=EASY, previous_response_id=first.body["id"])

    assert (first.body["model"], second.body["model"]) == (REASONING, REASONING)
    assert (first.outcome, second.outcome) == ("routed", "explicit")


async def test_an_answer_that_never_passed_here_is_looked_for(proxy: Proxy) -> None:
    proxy.reasoning.stored.add("resp_elsewhere")

    answer = await respond(proxy, input=EASY, previous_response_id="resp_elsewhere")

    assert (answer.body["model"], answer.outcome) == (REASONING, "explicit")


@pytest.mark.parametrize("unknown", ["resp_unknown", "../admin", "", None, 7])
async def test_an_answer_nobody_knows_is_no_reason_not_to_route(proxy: Proxy, unknown: Any) -> None:
    answer = await respond(proxy, input=HARD, previous_response_id=unknown)

    assert (answer.body["model"], answer.outcome) == (REASONING, "routed")


async def test_a_model_named_by_the_caller_is_honoured(proxy: Proxy) -> None:
    proxy.reasoning.stored.add("resp_1")

    answer = await respond(proxy, model=GENERAL, input=EASY, previous_response_id="resp_1")

    assert answer.body["model"] == GENERAL


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]
)
async def test_what_is_about_a_response_goes_to_who_keeps_it(proxy: Proxy, method: str, path: str) -> None:
    proxy.reasoning.stored.add("resp_1")

    async with proxy.client.request(method, f"{PATH}/resp_1{path}") as response:
        answer = await response.json()

    assert (response.status, answer["model"], answer["received"]["path"]) == (200, REASONING, f"{PATH}/resp_1{path}")


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_a_response_nobody_keeps_is_a_404_of_ours(proxy: Proxy, method: str) -> None:
    async with proxy.client.request(method, f"{PATH}/resp_unknown", json={"model": REASONING}) as response:
        answer = await response.json()

    assert (response.status, answer["error"]["code"]) == (404, "response_not_found")
    assert (await proxy.metric("semrouter_upstream_requests_total")) == 0


async def test_unknown_responses_are_looked_for_only_so_often(proxy: Proxy) -> None:
    answers = [await respond(proxy, input=HARD, previous_response_id=f"resp_{number}") for number in range(60)]

    statuses = [answer.status for answer in answers]
    looked_for = proxy.general.requests_begun + proxy.reasoning.requests_begun - statuses.count(200)
    assert set(statuses) == {200, 503}
    assert looked_for == 2 * statuses.count(200)
    assert statuses.count(200) < 60
    assert (answers[-1].outcome, answers[-1].headers["retry-after"]) == ("rejected", "1")


async def test_the_id_of_a_compressed_answer_is_read_too(
    proxy: Proxy, start_proxy: StartProxy, start_raw: StartRaw
) -> None:
    answer = gzip.compress(b'{"id": "resp_packed"}')

    async def respond_packed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)

    endpoints = [proxy.urls[GENERAL], await start_raw(respond_packed)]
    upstreams = {GENERAL: {"affinity": "none", "endpoints": endpoints}}
    keyed = await start_proxy("127.0.0.1:1", {"client_keys_env": ["K"], "upstreams": upstreams}, K="alpha")
    packed = {"model": GENERAL, "input": HARD}
    for _ in range(2):
        await keyed.post(PATH, packed, x_api_key="alpha")

    goes_on = await keyed.post(PATH, packed | {"previous_response_id": "resp_packed"}, x_api_key="alpha")

    assert (goes_on.status, goes_on.body) == (200, {"id": "resp_packed"})


class TestClientsWithKeys:
    """Each has its own responses; those of another are as unknown as those that never were."""

    @pytest.fixture
    async def proxy(self, start_proxy: StartProxy, stand_in_url: str) -> Proxy:
        keys = {"client_keys_env": ["TEAM_A", "TEAM_B"]}
        return await start_proxy(stand_in_url, keys, TEAM_A="alpha", TEAM_B="beta")

    @pytest.fixture
    async def response_id(self, proxy: Proxy) -> str:
        first = await proxy.post(PATH, {"model": "router", "input": HARD}, mode="auto", Authorization="Bearer alpha")
        return str(first.body["id"])

    async def test_the_one_who_got_it_goes_on_from_it(self, proxy: Proxy, response_id: str) -> None:
        body = {"model": "router", "input": EASY, "previous_response_id": response_id}

        answer = await proxy.post(PATH, body, mode="auto", x_api_key="alpha")

        assert (answer.status, answer.body["model"], answer.outcome) == (200, REASONING, "explicit")

    @pytest.mark.parametrize("mode", ["auto", "off", "shadow", "force"])
    @pytest.mark.parametrize("path", [PATH, f"{PATH}/compact", f"{PATH}/input_tokens"])
    async def test_another_does_not(self, proxy: Proxy, response_id: str, path: str, mode: str) -> None:
        body = {"model": REASONING, "input": EASY, "previous_response_id": response_id}
        begun = proxy.reasoning.requests_begun

        answer = await proxy.post(path, body, mode=mode, Authorization="Bearer beta")

        assert (answer.status, answer.body["error"]["code"]) == (404, "response_not_found")
        assert (proxy.reasoning.requests_begun, proxy.general.requests_begun) == (begun, 0)

    async def test_an_error_that_names_a_response_makes_it_nobodys(
        self, start_proxy: StartProxy, start_raw: StartRaw
    ) -> None:
        """A server's answer to what it cannot read may quote that, and with it any id."""
        answers = [b"422 Unprocessable", b"200 OK"]

        async def quote(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            body = b'{"detail": [{"input": {"id": "resp_of_another"}}]}'
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (answers.pop(0), len(body))
            writer.write(head + body)

        form = {"client_keys_env": ["K"], "upstreams": {GENERAL: {"endpoints": [await start_raw(quote)]}}}
        proxy = await start_proxy("127.0.0.1:1", form, K="k")
        body = {"model": GENERAL, "input": {"id": "resp_of_another"}}
        async with proxy.client.post(PATH, json=body, headers={"x-api-key": "k"}) as response:
            assert response.status == 422

        body["previous_response_id"] = "resp_of_another"
        answer = await proxy.post(PATH, body, x_api_key="k")

        assert (answer.status, len(answers)) == (404, 1)

    @pytest.mark.parametrize("path", ["", "/input_items", "/cancel"])
    @pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
    async def test_another_neither_reads_nor_deletes_it(
        self, proxy: Proxy, response_id: str, method: str, path: str
    ) -> None:
        url = f"{PATH}/{response_id}{path}"
        statuses = []
        for key in ("beta", "alpha"):
            async with proxy.client.request(method, url, headers={"x-api-key": key}) as response:
                statuses.append(response.status)

        assert statuses == [404, 200]

    async def test_nobody_is_asked_for_one_that_is_unknown(self, proxy: Proxy) -> None:
        proxy.reasoning.stored.add("resp_elsewhere")

        async with proxy.client.get(f"{PATH}/resp_elsewhere", headers={"x-api-key": "alpha"}) as response:
            assert response.status == 404
        assert proxy.reasoning.requests_begun == 0


class TestResponseMemory:
    def test_is_shared_by_those_who_open_the_same_file(self, tmp_path: Path) -> None:
        one, other = (ResponseMemory(tmp_path / "responses") for _ in range(2))
        place = Place(upstream="a", endpoint="http://a")

        one.remember("alpha", "resp_1", place)

        assert (other.find("alpha", "resp_1"), other.find("beta", "resp_1")) == (place, None)
        one.close()
        other.close()

    def test_is_bounded_for_each_client_alone(self) -> None:
        memory, place = ResponseMemory(), Place(upstream="a", endpoint="http://a")
        memory.remember("quiet", "resp_mine", place)

        for number in range(10_001):
            memory.remember("busy", f"resp_{number}", place)

        found = [memory.find("busy", f"resp_{number}") for number in (0, 1, 10_000)]
        assert (found, memory.find("quiet", "resp_mine")) == ([None, place, place], place)
        memory.close()

    def test_that_cannot_be_written_is_no_failure(self, tmp_path: Path) -> None:
        memory = ResponseMemory(tmp_path / "responses")
        holding = sqlite3.connect(tmp_path / "responses", isolation_level=None)
        holding.execute("BEGIN EXCLUSIVE")

        memory.remember("alpha", "resp_1", Place(upstream="a", endpoint="http://a"))

        assert memory.find("alpha", "resp_1") is None
        holding.close()
        memory.close()
