"""Unpacking a compressed body in pieces, so that a small one never becomes more than is allowed."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import brotli

from router_proxy.errors import BodyTooLarge, CodingUnknown, RequestInvalid

PIECE_BYTES = 2**16  # of what goes in, and of what comes out, at a time
_GZIP_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, -zlib.MAX_WBITS
_ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that HTTP allows (RFC 9659 §3)
_DEFLATE_METHOD = 8  # in the low half of the first byte of what RFC 1950 wraps; some send RFC 1951 without it


class Unpacker(Protocol):
    """A stream of one library's: gives at most a piece at a time of what it was fed."""

    def unpack(self, fed: bytes) -> bytes: ...

    @property
    def wants_more(self) -> bool: ...

    @property
    def is_at_end(self) -> bool: ...

    @property
    def rest(self) -> bytes: ...


def coding_of(content_encoding: str) -> str | None:
    """Return which of the known codings a body has, None for none; CodingUnknown lists the known ones."""
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in _UNPACKERS:
        raise CodingUnknown(f"Content-Encoding: expected one of {', '.join(_UNPACKERS)}, or none", known=_UNPACKERS)
    return coding


def unpacked(raw: bytes, coding: str, limit_bytes: int) -> Iterator[bytes]:
    """Yield what `raw` holds, at most `limit_bytes`, in time linear in what goes in and what comes out."""
    unpacker = _UNPACKERS[coding](raw)
    position = total = 0
    while not unpacker.is_at_end:
        fed = raw[position : position + PIECE_BYTES] if unpacker.wants_more else b""
        position += len(fed)
        piece = _next_piece(unpacker, fed, coding)
        has_more = unpacker.wants_more and position < len(raw)
        if not (piece or fed or has_more or unpacker.is_at_end):
            raise _broken(coding)
        total += len(piece)
        if total > limit_bytes:
            raise BodyTooLarge(f"body: expected at most {limit_bytes} bytes unpacked")
        yield piece
    if position < len(raw) or unpacker.rest:
        raise _broken(coding)


def _next_piece(unpacker: Unpacker, fed: bytes, coding: str) -> bytes:
    try:
        return unpacker.unpack(fed)
    except Exception as exc:  # each of the three libraries has errors of its own, with no common base
        raise _broken(coding) from exc


def _broken(coding: str) -> RequestInvalid:
    return RequestInvalid(f"body: expected {coding}, whole and nothing after it", code="invalid_body")


class _Zlib:
    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)

    def unpack(self, fed: bytes) -> bytes:
        return self._stream.decompress(fed or self._stream.unconsumed_tail, PIECE_BYTES)

    @property
    def wants_more(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def is_at_end(self) -> bool:
        return self._stream.eof

    @property
    def rest(self) -> bytes:
        return self._stream.unused_data


class _Brotli:
    rest = b""  # what follows the end is an error there

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def unpack(self, fed: bytes) -> bytes:
        return bytes(self._stream.process(fed, output_buffer_limit=PIECE_BYTES))

    @property
    def wants_more(self) -> bool:
        return bool(self._stream.can_accept_more_data())

    @property
    def is_at_end(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstd:
    def __init__(self) -> None:
        from backports.zstd import DecompressionParameter, ZstdDecompressor  # noqa: PLC0415 - only for who sends it

        self._stream: Any = ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def unpack(self, fed: bytes) -> bytes:
        return bytes(self._stream.decompress(fed, PIECE_BYTES))

    @property
    def wants_more(self) -> bool:
        return bool(self._stream.needs_input)

    @property
    def is_at_end(self) -> bool:
        return bool(self._stream.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._stream.unused_data)


def _deflate(raw: bytes) -> _Zlib:
    return _Zlib(zlib.MAX_WBITS if raw[:1] and raw[0] & 0xF == _DEFLATE_METHOD else _RAW_WINDOW)


_UNPACKERS: dict[str, Callable[[bytes], Unpacker]] = {
    "gzip": lambda _: _Zlib(_GZIP_WINDOW),
    "x-gzip": lambda _: _Zlib(_GZIP_WINDOW),  # RFC 9110 §8.4.1.3: the same
    "deflate": _deflate,
    "br": lambda _: _Brotli(),
    "zstd": lambda _: _Zstd(),
}
