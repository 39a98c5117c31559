"""Heads, bodies and forms made up at random: each is read or refused in our words, and none is a 500."""

import json
from collections.abc import AsyncIterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_proxy.errors import RequestInvalid
from router_proxy.request.body import read_body, with_model
from router_proxy.request.forms import form_model
from router_proxy.request.needs import read_needs
from router_proxy.request.surfaces import SURFACES, read_any_ask
from tests.router_proxy.conftest import Proxy
from tests.stand_ins.raw_client import connect, post

_NAMES = st.sampled_from(
    ["model", "Model", "messages", "input", "prompt", "tools", "max_tokens", "role", "content", "x"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | _NAMES
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=20
)
_PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"model"', b'"messages"', b"\\u006d", b"\\ud800", b"null",
     b" ", b"\xff"]
)  # fmt: skip
_BODIES = st.one_of(
    _JSON.map(lambda value: json.dumps(value).encode(errors="surrogatepass")),
    st.lists(_PIECES, max_size=30).map(b"".join),
    st.binary(max_size=100),
)
_FORM_PIECES = st.sampled_from(
    [b"--b", b"--", b"\r\n", b"\n", b"Content-Disposition: form-data", b"; name=", b"model", b'"', b"\\", b";",
     b"\r\n\r\n"]
)  # fmt: skip
_HEAD_PIECES = (
    b"POST", b"GET", b" ", b"/v1/chat/completions", b"*", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"\x00",
     b":", b"Host: here", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
    b"Connection: close",
     b"Upgrade: websocket", b"Content-Encoding: gzip", b"5\r\nhello\r\n", b"0\r\n\r\n", b"\xff", b"\t", b"%00", b"//",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(raw=_BODIES)
def test_a_body_is_read_or_refused(raw: bytes) -> None:
    try:
        body = read_body(raw)
        read_needs(raw)
        asks = [surface.read_ask(raw, ("system-reminder",)) for surface in SURFACES]
        asks.append(read_any_ask(raw, ()))
    except RequestInvalid as refusal:
        assert refusal.message
        return
    value = json.loads(raw)
    assert body.model == (value.get("model") or None)
    assert all(ask is None or ask.strip() for ask in asks)
    assert json.loads(with_model(raw, "new")) == value | {"model": "new"}


@settings(max_examples=300, deadline=None)
@given(raw=st.lists(_FORM_PIECES, max_size=30).map(b"".join), boundary=st.text(max_size=5))
def test_a_form_is_read_or_refused(raw: bytes, boundary: str) -> None:
    for content_type in ("multipart/form-data; boundary=b", f"multipart/form-data; boundary={boundary}"):
        try:
            model = form_model(raw, content_type)
        except RequestInvalid:
            continue
        assert model is None or (0 < len(model) <= 1024 and raw.count(b"model") >= 1)


@pytest.fixture
async def url(proxy: Proxy) -> AsyncIterator[str]:
    yield str(proxy.client.make_url(""))
    for upstream in (proxy.general, proxy.reasoning):
        assert upstream.requests_begun == 0


@pytest.mark.parametrize("seed", range(4))
async def test_a_head_is_answered_by_us_or_not_at_all(url: str, seed: int) -> None:
    random = Random(seed)
    for _ in range(50):
        client = await connect(url)
        client.send(b"".join(random.choices(_HEAD_PIECES, k=random.randint(1, 25))), b"\r\n\r\n")
        client.send(post("/v1/models", b"{}", b"Connection: close").replace(b"POST", b"HEAD"))
        answer = await client.answer_if_any()
        client.close()

        assert answer is None or (answer.version == "HTTP/1.1" and "aiohttp" not in answer.headers.get("server", ""))
        assert answer is None or answer.status != 500
