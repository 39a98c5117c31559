"""Bytes that are no request: answered in our words, and nothing of them is written anywhere."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from tests.router_proxy.conftest import GENERAL, Proxy
from tests.router_proxy.test_commands import announced_url, serving
from tests.stand_ins.raw_client import RawAnswer, connect, exchange, post
from tests.stand_ins.upstream import EchoUpstream

CHAT = "/v1/chat/completions"
MARK = b"PLANTED"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "PLANTED \xc3\xbc\xc3\xbc\xc3\xbc"}]}'
KEY = b"Authorization: Bearer PLANTED"

UNREADABLE = {
    "a length counted in characters": post(CHAT, BODY, KEY).replace(
        b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % len(BODY.decode())
    )
    + b"\r\n\r\n",
    "bare line feeds": post(CHAT, BODY, KEY).replace(b"\r\n", b"\n"),
    "chunked before a plain body": b"\r\n".join(
        [b"POST %s HTTP/1.1" % CHAT.encode(), b"Host: here", KEY, b"Transfer-Encoding: chunked", b"", BODY]
    ),
    "a control character in a key": post(CHAT, BODY, b"Authorization: Bearer PLAN\x01 PLANTED"),
    "a null in a key": post(CHAT, BODY, b"x-api-key: PLANTED\x00"),
    "a folded header": post(CHAT, BODY, b"X-A: b\r\n PLANTED"),
    "a space before the colon": post(CHAT, BODY, b"Authorization : PLANTED"),
    "two lengths": post(CHAT, BODY, b"Content-Length: 7", KEY),
    "a length and chunks": post(CHAT, BODY, b"Transfer-Encoding: chunked", KEY),
    "a length that is no number": post(CHAT, BODY).replace(b"Content-Length: ", b"Content-Length: PLANTED"),
    "a chunk of no size": b"\r\n".join(
        [b"POST /v1/models HTTP/1.1", b"Host: here", b"Transfer-Encoding: chunked", b"", b"PLANTED", b""]
    ),
    "a header line too long": post(CHAT, BODY, b"X-A: " + MARK * 2000),
    "a target too long": post(CHAT + "?" + "PLANTED" * 2000, BODY),
    "too many headers": post(CHAT, BODY, *(b"X-%d: PLANTED" % number for number in range(200))),
    "a method of no kind": b"PLANTED / HTTP/1.1\r\n\r\n",
    "another version": b"GET /PLANTED HTTP/9.7\r\n\r\n",
    "a target without a slash": b"GET PLANTED HTTP/1.1\r\nHost: here\r\n\r\n",
    "only a body": BODY + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00PLANTED" + bytes(range(256)),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nPLANTED",
}


class TestTheAnswer:
    @pytest.mark.parametrize("what", UNREADABLE)
    async def test_is_ours(self, proxy: Proxy, what: str) -> None:
        answers = await all_answers(str(proxy.client.make_url("")), UNREADABLE[what])

        refusal = answers[-1]
        assert (refusal.version, refusal.status in {400, 401, 404, 405, 431}) == ("HTTP/1.1", True)
        assert refusal.headers["content-type"].startswith("application/json")
        assert refusal.error["type"] == "invalid_request_error"
        assert "server" not in refusal.headers
        assert MARK not in refusal.body

    async def test_is_counted(self, proxy: Proxy) -> None:
        await exchange(str(proxy.client.make_url("")), b"nonsense\r\n\r\n")

        assert await proxy.metric("semrouter_connections_ended_total", reason="unreadable") == 1


class TestTheLog:
    @pytest.fixture
    async def upstream_url(self) -> AsyncIterator[str]:
        async with TestServer(EchoUpstream(GENERAL).app) as server:
            yield str(server.make_url("/")).replace("http://", "http://PLANTED:PLANTED@").rstrip("/")

    async def test_holds_nothing_of_it(self, tmp_path: Path, upstream_url: str) -> None:
        headers = {name: b"%s: PLANTED \xff\xfc" % name for name in (b"X-A", b"X-Dynamo-Routing", b"Cookie", b"Expect")}
        close = b"Connection: close"
        readable = [
            post(CHAT, BODY, KEY, *headers.values(), close),
            post(CHAT, b'{"model": "PLANTED"}', KEY, close),
            post(CHAT, b'{"model": {"PLANTED": "PLANTED"}}', close),
            post(CHAT, b'{"PLANTED', close),
            post("/v1/PLANTED/~?PLANTED=~", b'{"model": "PLANTED"}', close).replace(b"~", b"\xff", 2),
            post("/v1/embeddings", b"--PLANTED\r\n", b"Content-Type: multipart/form-data; boundary=PLANTED", close),
            post(CHAT, b"PLANTED", b"Content-Encoding: gzip", close),
            post(CHAT, b"PLANTED", b"Content-Encoding: PLANTED", close),
            post(CHAT, b'{"model": "%s"}' % GENERAL.encode(), b"Authorization: Bearer \xff PLANTED", close),
        ]
        async with serving(tmp_path, upstream_url=upstream_url, SEMROUTER_HEALTH_INTERVAL_SECONDS="0.1") as process:
            url = await announced_url(process)
            for request in [*readable, *UNREADABLE.values()]:
                await all_answers(url, request)
            process.terminate()
            out, err = await asyncio.wait_for(process.communicate(), 60)

        written = (
            out + err + b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.name != "upstreams.yaml")
        )
        assert b'"outcome"' in out
        assert [line for line in written.splitlines() if MARK in line] == []


async def all_answers(url: str, request: bytes) -> list[RawAnswer]:
    """Return the answers to `request` until the server closes the connection."""
    client = await connect(url)
    client.send(request)
    answers = []
    while answer := await client.answer_if_any():
        answers.append(answer)
    client.close()
    return answers
