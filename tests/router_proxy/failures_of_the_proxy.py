"""The table of failures, staged: requests that cannot be served, files, and the proxy's own processes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
from aiohttp.test_utils import TestServer

from tests.stand_ins.upstream import EchoUpstream

from .conftest import EASY, GENERAL, HARD, Answer, Proxy
from .scene import CHAT, STREAMED, Scene, Seen, Stage, until_metric
from .test_commands import announced_url, serving
from .test_workers import workers_of


async def post(proxy: Proxy, body: Any, **headers: str) -> Seen:
    return Seen(proxy=proxy, answer=await proxy.post(CHAT, body, mode="auto", **headers))


async def has_all_its_places_taken(scene: Scene) -> Seen:
    proxy = await scene.proxy_with({"limits": {"in_flight": 1}})
    return await ask_beside_a_stream(proxy)


async def has_all_places_of_a_key_taken(scene: Scene) -> Seen:
    form = {"client_keys_env": ["TEAM"], "limits": {"in_flight_per_key": 1}}
    return await ask_beside_a_stream(await scene.proxy_with(form, TEAM="alpha"), x_api_key="alpha")


async def ask_beside_a_stream(proxy: Proxy, **headers: str) -> Seen:
    proxy.general.held.clear()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with proxy.client.post(CHAT, json=STREAMED, headers=sent):
        seen = await post(proxy, {"model": GENERAL}, **headers)
        proxy.general.held.set()
    return seen


async def is_asked_with_the_wrong_key(scene: Scene) -> Seen:
    proxy = await scene.proxy_with({"client_keys_env": ["TEAM"]}, TEAM="alpha")
    return await post(proxy, {"model": GENERAL}, x_api_key="beta")


async def is_sent_no_json(scene: Scene) -> Seen:
    return await post(await scene.proxy(), b"prove it")


async def is_sent_too_much(scene: Scene) -> Seen:
    return await post(await scene.proxy_with({"limits": {"body_mib": 1}}), b" " * (2**20 + 1))


async def is_sent_too_little(scene: Scene) -> Seen:
    proxy = await scene.proxy(SEMROUTER_BODY_SECONDS="0.05")
    more = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"model": '
        await more.wait()

    async with proxy.client.post(CHAT, data=stalling()) as response:
        answer = Answer(status=response.status, headers=lowered(response), body=await response.json())
        more.set()
    return Seen(proxy=proxy, answer=answer)


async def is_asked_for_an_unknown_model(scene: Scene) -> Seen:
    return await post(await scene.proxy(), {"model": "gpt-9"})


async def is_given_an_invalid_file(scene: Scene) -> Seen:
    proxy = await scene.proxy()
    (scene.directory / "upstreams.yaml").write_text("upstreams: {}")
    proxy.live.reload()
    return Seen(proxy=proxy, answer=await proxy.chat(HARD))


async def cannot_write_its_log(scene: Scene) -> Seen:
    proxy = await scene.proxy(SEMROUTER_DECISION_LOG="/dev/full")
    answer = await proxy.chat(EASY)
    await until_metric(proxy, "semrouter_decision_log_dropped_total")
    return Seen(proxy=proxy, answer=answer)


class Scraped:
    """What /metrics said at one moment."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def metrics(self) -> str:
        return self._text


async def loses_a_worker(scene: Scene) -> Seen:
    upstream = EchoUpstream(GENERAL)
    upstream.held.clear()
    async with (
        TestServer(upstream.app) as server,
        serving(scene.directory, upstream_url=str(server.make_url("")), SEMROUTER_WORKERS="2") as parent,
        aiohttp.ClientSession(await announced_url(parent)) as session,
    ):
        await until_scraped(session, "semrouter_workers 2.0")
        async with session.post(CHAT, json=STREAMED) as response:
            await response.content.readuntil(b"\n\n")
            kill(next(pid for pid in workers_of(parent.pid) if answers_something(pid, server.port)))
            fallen = await until_scraped(session, "semrouter_workers 1.0")
            assert await is_cut_off(response)
        await until_scraped(session, "semrouter_workers 2.0")
    return Seen(proxy=Scraped(fallen), answer=None)


async def until_scraped(session: aiohttp.ClientSession, line: str) -> str:
    """Return /metrics, of whichever worker answers, once it has `line`."""
    text = ""
    async with asyncio.timeout(60):
        while line not in text.splitlines():
            try:
                async with session.get("/metrics", headers={"Connection": "close"}) as response:
                    text = await response.text()
            except aiohttp.ClientConnectionError:
                continue  # it fell to the worker that dies
    return text


async def is_cut_off(response: aiohttp.ClientResponse) -> bool:
    try:
        await response.read()
    except aiohttp.ClientPayloadError:
        return True
    return False


def answers_something(pid: int, upstream_port: int | None) -> bool:
    """Whether a worker has a connection to the upstream other than for its checks, which close theirs."""
    return any(each.raddr and each.raddr.port == upstream_port for each in psutil.Process(pid).net_connections("tcp"))


def kill(pid: int) -> None:
    psutil.Process(pid).kill()


def lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


FAILURES: dict[str, list[Stage]] = {
    "`limits.in_flight` requests are being answered": [has_all_its_places_taken],
    "`limits.in_flight_per_key` requests of this client are": [has_all_places_of_a_key_taken],
    "no client key, or a wrong one, where one is needed": [is_asked_with_the_wrong_key],
    "the body is no JSON object": [is_sent_no_json],
    "the body is larger than `limits.body_mib`": [is_sent_too_much],
    "the body takes longer than `SEMROUTER_BODY_SECONDS`": [is_sent_too_little],
    "nobody serves the model": [is_asked_for_an_unknown_model],
    "a changed policy or upstreams file is invalid": [is_given_an_invalid_file],
    "the decision log cannot be written": [cannot_write_its_log],
    "a worker dies": [loses_a_worker],
}
