"""Compressed bodies: what each coding comes to, and how little a hostile one can do."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache, partial

import brotli
import pytest
from backports import zstd

from router_proxy.errors import BodyTooLarge, CodingUnknown, RequestInvalid
from router_proxy.request.unpacking import PIECE_BYTES, coding_of, unpacked
from tests.router_proxy.conftest import GENERAL, HARD, Proxy, StartProxy
from tests.stand_ins.raw_client import exchange, post
from tests.stand_ins.upstream import body_received

Pack = Callable[[bytes], bytes]
CHAT = "/v1/chat/completions"
RAW = json.dumps({"model": "router", "messages": [{"role": "user", "content": HARD}]}).encode()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "upper case": (" GZip ", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without its wrapping": ("deflate", raw_deflate),
    "br": ("br", partial(brotli.compress, quality=4)),
    "zstd": ("zstd", zstd.compress),
    "identity": ("identity", bytes),
}


@pytest.mark.parametrize("what", PACKED)
async def test_a_packed_body_is_understood(proxy: Proxy, what: str) -> None:
    coding, pack = PACKED[what]

    answer = await proxy.post(CHAT, pack(RAW), mode="auto", Content_Encoding=coding)

    assert answer.outcome == "routed"
    assert json.loads(body_received(answer.body))["messages"] == json.loads(RAW)["messages"]
    assert "content-encoding" not in answer.body["received"]["headers"]


@pytest.mark.parametrize("what", PACKED)
async def test_a_large_one_is_unpacked_whole(proxy: Proxy, what: str) -> None:
    coding, pack = PACKED[what]
    text = "".join(str(number) for number in range(600_000))
    raw = json.dumps({"model": GENERAL, "messages": [{"role": "user", "content": text}]}).encode()

    answer = await proxy.post(CHAT, pack(raw), Content_Encoding=coding)

    assert body_received(answer.body) == raw


@pytest.mark.parametrize("coding", ["compress", "gzip, gzip", "gzip, br", "aes128gcm", "zstd;q=1", "\xff"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/route", "/v1/embeddings"])
async def test_an_unknown_coding_is_told_the_known_ones(proxy: Proxy, path: str, coding: str) -> None:
    answer = await exchange(
        str(proxy.client.make_url("")), post(path, RAW, b"Content-Encoding: " + coding.encode("latin-1"))
    )

    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, x-gzip, deflate, br, zstd")
    assert "expected one of gzip" in answer.error["message"]


def test_only_known_codings_are_named() -> None:
    assert [coding_of(each) for each in ("identity", "X-GZIP")] == [None, "x-gzip"]
    with pytest.raises(CodingUnknown):
        coding_of("lzma")


CODINGS = ["gzip", "deflate", "br", "zstd"]


class TestABrokenBody:
    @pytest.mark.parametrize("coding", CODINGS)
    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda packed: packed[:-1], id="cut short"),
            pytest.param(lambda packed: packed[: len(packed) // 2], id="cut in half"),
            pytest.param(lambda packed: packed + b"x", id="with more after it"),
            pytest.param(lambda packed: packed + packed, id="twice"),
            pytest.param(lambda _: RAW, id="not packed"),
            pytest.param(lambda _: b"\x00" * 100_000, id="zeros"),
        ],
    )
    async def test_is_refused(self, proxy: Proxy, coding: str, spoil: Pack) -> None:
        packed = spoil(PACKED[coding][1](RAW))

        answer = await proxy.post(CHAT, packed, mode="auto", Content_Encoding=coding)

        assert (answer.status, answer.body["error"]["code"]) == (400, "invalid_body")


@cache
def bomb(coding: str) -> bytes:
    return PACKED[coding][1](bytes(64 * 2**20))


class TestABomb:
    """Small bodies that unpack into far more than is allowed."""

    LIMIT = 2**20

    @pytest.mark.parametrize("coding", CODINGS)
    def test_takes_no_more_memory_than_is_allowed(self, coding: str) -> None:
        packed = bomb(coding)
        tracemalloc.start()

        with pytest.raises(BodyTooLarge):
            for piece in unpacked(packed, coding, self.LIMIT):
                assert len(piece) <= 2 * PIECE_BYTES
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 2**20

    @pytest.mark.parametrize("coding", CODINGS)
    async def test_is_refused_as_too_large(self, start_proxy: StartProxy, stand_in_url: str, coding: str) -> None:
        proxy = await start_proxy(stand_in_url, {"limits": {"body_mib": 1}})

        answer = await proxy.post(CHAT, bomb(coding), Content_Encoding=coding)

        assert (answer.status, answer.body["error"]["code"]) == (413, "body_too_large")

    @pytest.mark.parametrize("coding", CODINGS)
    def test_costs_steps_in_proportion_to_its_size(self, coding: str) -> None:
        steps = [len(list(unpacked(PACKED[coding][1](bytes(size)), coding, 2**30))) for size in (2**22, 2**23, 2**24)]

        assert steps[1] <= 2 * steps[0] + 2
        assert steps[2] <= 2 * steps[1] + 2

    @pytest.mark.parametrize("coding", CODINGS)
    async def test_is_not_unpacked_for_who_may_not_come_in(
        self, start_proxy: StartProxy, stand_in_url: str, coding: str
    ) -> None:
        proxy = await start_proxy(stand_in_url, {"client_keys_env": ["TEAM"]}, TEAM="alpha")
        packed = bomb(coding)
        tracemalloc.start()

        statuses = [(await proxy.post(path, packed, Content_Encoding=coding)).status for path in (CHAT, "/v1/route")]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert statuses == [401, 401]
        assert peak < 2**22

    def test_no_window_is_larger_than_http_allows(self) -> None:
        wide: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
        packer = zstd.ZstdCompressor(options=wide)
        packed = packer.compress(b"x" * 100) + packer.flush()

        with pytest.raises(RequestInvalid):
            list(unpacked(packed, "zstd", 2**20))


async def test_long_unpacking_leaves_the_loop_to_others(proxy: Proxy) -> None:
    raw = json.dumps({"model": GENERAL, "x": " " * (24 * 2**20)}).encode()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    answer = await proxy.post(CHAT, brotli.compress(raw, quality=1), Content_Encoding="br")
    counting.cancel()

    assert answer.status == 200
    assert turns > len(raw) // (16 * PIECE_BYTES)
