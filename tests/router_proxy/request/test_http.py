"""HTTP as the field speaks it: expectations, methods, keys that are no text. RFC 9110 says what each is answered."""

import asyncio
import json

import pytest

from tests.router_proxy.conftest import GENERAL, Proxy, StartProxy, StartRaw
from tests.stand_ins.raw_client import connect, exchange, post

CHAT = "/v1/chat/completions"
BODY = b'{"model": "%s"}' % GENERAL.encode()


def url_of(proxy: Proxy) -> str:
    return str(proxy.client.make_url(""))


class TestExpect:
    async def test_a_client_that_waits_is_asked_for_its_body(self, proxy: Proxy) -> None:
        head, _, _ = post(CHAT, BODY, b"Expect: 100-Continue").partition(BODY)
        client = await connect(url_of(proxy))

        client.send(head)
        asked = await client.begun()
        client.send(BODY)
        answer = await client.answer()
        client.close()

        assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answer.status == 200

    async def test_nobody_is_asked_for_a_body_before_being_let_in(
        self, start_proxy: StartProxy, stand_in_url: str
    ) -> None:
        proxy = await start_proxy(stand_in_url, {"client_keys_env": ["TEAM"]}, TEAM="alpha")
        head, _, _ = post(CHAT, BODY, b"Expect: 100-continue", b"Connection: close").partition(BODY)

        answer = await exchange(url_of(proxy), head)

        assert answer.status == 401

    @pytest.mark.parametrize("expectation", [b"PLANTED", b"100-continue, x=y", b"200-ok", b"\xff", b"100-continue;q=1"])
    @pytest.mark.parametrize("path", [CHAT, "/v1/route", "/tokenize", "/v1/responses/resp_1"])
    async def test_an_unknown_expectation_is_not_met(self, proxy: Proxy, path: str, expectation: bytes) -> None:
        answer = await exchange(url_of(proxy), post(path, BODY, b"Expect: " + expectation))

        assert (answer.status, answer.error["code"]) == (417, "unknown_expectation")
        assert b"PLANTED" not in answer.body

    @pytest.mark.parametrize("path", ["/nothing", "/health/live"])
    async def test_what_is_refused_anyway_is_refused_as_ever(self, proxy: Proxy, path: str) -> None:
        answer = await exchange(url_of(proxy), post(path, BODY, b"Expect: PLANTED"))

        assert answer.status in {404, 405}
        assert (answer.error["type"], "server" in answer.headers) == ("invalid_request_error", False)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_json_under_the_name_of_a_form_is_refused(proxy: Proxy, path: str) -> None:
    answer = await exchange(url_of(proxy), post(path, BODY, b"Content-Type: multipart/form-data; boundary=b"))

    assert answer.status == 400
    assert "got a form" in answer.error["message"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([b"Content-Encoding: identity", b"Content-Encoding: br"], 415),
        ([b"Content-Encoding: gzip", b"Content-Encoding: gzip"], 415),
        ([b"Expect: 100-continue", b"Expect: more"], 417),
    ],
)
async def test_two_lines_are_one_list(proxy: Proxy, lines: list[bytes], status: int) -> None:
    assert (await exchange(url_of(proxy), post(CHAT, BODY, *lines))).status == status


@pytest.mark.parametrize("target", [b"*", b"here:80"])
@pytest.mark.parametrize("lines", [b"", b"Expect: PLANTED\r\n"])
async def test_a_target_without_a_path_has_nothing(proxy: Proxy, target: bytes, lines: bytes) -> None:
    method = b"OPTIONS" if target == b"*" else b"CONNECT"
    head = b"%s %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n%s\r\n" % (method, target, lines)

    answer = await exchange(url_of(proxy), head)

    assert answer.status in {400, 404}
    assert (answer.error["type"], "server" in answer.headers) == ("invalid_request_error", False)
    assert b"PLANTED" not in answer.body


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, "POST"),
        ("DELETE", "/v1/messages", "POST"),
        ("PUT", "/v1/models", "GET, HEAD, POST"),
        ("POST", "/health/live", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
        ("GET", "/tokenize", "POST"),
    ],
)
async def test_a_method_that_a_path_lacks_is_told_which_it_has(
    proxy: Proxy, method: str, path: str, allowed: str
) -> None:
    async with proxy.client.request(method, path) as response:
        body = await response.json()

    assert (response.status, response.headers["Allow"]) == (405, allowed)
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer \xff\xfe",
        b"Authorization: Bearer alpha\xa0",
        b"Authorization: \xff",
        b"x-api-key: \xc3\x28",
        b"x-api-key: \xed\xa0\x80",
        b"X-Other: \xff",
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/route", "/v1/embeddings"])
async def test_a_key_that_is_no_text_is_a_wrong_key(
    start_proxy: StartProxy, stand_in_url: str, path: str, line: bytes
) -> None:
    proxy = await start_proxy(stand_in_url, {"client_keys_env": ["TEAM"]}, TEAM="alpha")
    request = post(path, BODY, line)
    if path == "/v1/models":
        request = b"GET /v1/models HTTP/1.1\r\nHost: here\r\n" + line + b"\r\n\r\n"

    answer = await exchange(url_of(proxy), request)

    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", [b"/v1/chat/\xff", b"/\xc3\x28", b"/v1/models/\xed\xa0\x80", b"/%ff", b"/v1/models/%ed%a0%80"]
)
async def test_a_path_that_is_no_text_is_unknown(proxy: Proxy, path: bytes) -> None:
    answer = await exchange(url_of(proxy), b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % path)

    assert answer.status in {400, 404, 405}
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", [b"X-Dynamo-Routing", b"X-Semrouter-Budget-Ms"])
async def test_a_header_of_ours_that_is_no_text_is_refused(proxy: Proxy, name: bytes) -> None:
    answer = await exchange(url_of(proxy), post(CHAT, BODY, name + b": \xff"))

    assert (answer.status, answer.error["param"]) == (400, name.decode())


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
VALUES = [b"caf\xe9", b"\xff\xfe", b"\xe4\xbd\xa0 \xff", b"\xed\xa0\x80", b"na\xc3\xafve"]


class TestHeaderBytes:
    """Values that are no UTF-8, as older programs send them, pass as they are."""

    @pytest.mark.parametrize("value", VALUES)
    async def test_reach_the_upstream(self, proxy: Proxy, value: bytes) -> None:
        answer = await exchange(url_of(proxy), post(CHAT, BODY, b"OpenAI-Title: " + value, b"User-Agent: plain"))

        received = json.loads(answer.body)["received"]["headers"]
        assert received["openai-title"].encode(errors="surrogateescape") == value
        assert (received["user-agent"], received["content-type"]) == ("plain", "application/json")

    @pytest.mark.parametrize("value", VALUES)
    @pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\n{}", CHUNKED], ids=["whole", "chunked"])
    async def test_reach_the_client(
        self, start_proxy: StartProxy, start_raw: StartRaw, stand_in_url: str, value: bytes, framing: bytes
    ) -> None:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Title: " + value + b"\r\n" + framing)

        proxy = await start_proxy(stand_in_url, {"upstreams": {GENERAL: {"endpoints": [await start_raw(serve)]}}})

        answer = await exchange(url_of(proxy), post(CHAT, BODY, b"Connection: close"))

        assert answer.headers["x-title"].encode("latin-1") == value
        assert (answer.status, b"{}" in answer.body) == (200, True)
