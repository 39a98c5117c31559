"""The table of failures, staged: clients that send too much, too slowly, or what nobody here understands."""

import json

from tests.stand_ins.raw_client import RawAnswer, connect, exchange, post

from .conftest import GENERAL, Answer, Proxy
from .scene import CHAT, Scene, Seen, Stage, until_metric

BODY = b'{"model": "%s", "stream": true}' % GENERAL.encode()


async def sends_more_than_all_bodies_may_take(scene: Scene) -> Seen:
    proxy = await scene.proxy_with({"limits": {"body_mib": 1, "bodies_mib": 2}})
    large = BODY[:-1] + b', "x": "' + b" " * 900_000 + b'"}'
    proxy.general.held.clear()
    clients = [await connect(url_of(proxy)) for _ in range(2)]
    for client in clients:
        client.send(post(CHAT, large, b"Connection: close"))
        await client.begun()
    seen = await seen_by_one_more(proxy, post(CHAT, large))
    proxy.general.held.set()
    for client in clients:
        await client.closed()
    return seen


async def is_one_connection_too_many(scene: Scene) -> Seen:
    proxy = await scene.proxy(SEMROUTER_CONNECTIONS="2")
    proxy.general.held.clear()
    clients = [await connect(url_of(proxy)) for _ in range(2)]
    for client in clients:
        client.send(post(CHAT, BODY, b"Connection: close"))
        await client.begun()
    answer = await exchange(url_of(proxy), post(CHAT, BODY))
    proxy.general.held.set()
    for client in clients:
        await client.closed()
    return Seen(proxy=proxy, answer=as_answer(answer))


async def sends_half_a_head(scene: Scene) -> Seen:
    proxy = await scene.proxy(SEMROUTER_HEAD_SECONDS="0.05")
    client = await connect(url_of(proxy))
    client.send(post(CHAT, BODY)[:20])
    assert await client.closed() == b""
    await until_metric(proxy, "semrouter_connections_ended_total", reason="slow_head")
    return Seen(proxy=proxy, answer=None)


async def sends_no_http(scene: Scene) -> Seen:
    return await seen_by_one_more(await scene.proxy(), b"Prove it.\r\n\r\n")


async def packs_as_nobody_does(scene: Scene) -> Seen:
    return await seen_by_one_more(await scene.proxy(), post(CHAT, BODY, b"Content-Encoding: compress"))


async def expects_too_much(scene: Scene) -> Seen:
    return await seen_by_one_more(await scene.proxy(), post(CHAT, BODY, b"Expect: a miracle"))


async def seen_by_one_more(proxy: Proxy, request: bytes) -> Seen:
    return Seen(proxy=proxy, answer=as_answer(await exchange(url_of(proxy), request)))


def as_answer(answer: RawAnswer) -> Answer:
    return Answer(status=answer.status, headers=answer.headers, body=json.loads(answer.body))


def url_of(proxy: Proxy) -> str:
    return str(proxy.client.make_url(""))


FAILURES: dict[str, list[Stage]] = {
    "the bodies under way take all of `limits.bodies_mib`": [sends_more_than_all_bodies_may_take],
    "`SEMROUTER_CONNECTIONS` clients are connected, and none is idle": [is_one_connection_too_many],
    "a head takes longer than `SEMROUTER_HEAD_SECONDS`": [sends_half_a_head],
    "what a client sends is no HTTP": [sends_no_http],
    "the body has a Content-Encoding that is not known here": [packs_as_nobody_does],
    "the client expects anything but 100-continue": [expects_too_much],
}
