"""The beginning of an answer, read before it is passed on: as much as it takes to know what it says, and no more."""

from collections.abc import Mapping

import msgspec

from router_proxy.errors import BodyTooLarge, CodingUnknown, RequestInvalid, UpstreamUnreachable
from router_proxy.request.unpacking import coding_of, unpacked
from router_proxy.upstreams.upstreams import Upstream

from .relay import AnswerBrokeOff, StallWatch, next_chunk
from .sending import Begun

_BYTES = 2**16  # no refusal says its reason later


async def read_on(begun: Begun, upstream: Upstream) -> Begun:
    """Return the answer with more of it in `first`: all of it, unless it is long."""
    chunks, total = [begun.first], len(begun.first)
    watch = StallWatch(upstream.timeouts.between_chunks, ends_at=begun.ends_at)
    try:
        async with watch:
            while chunks[-1] and total < _BYTES:
                watch.waits("aborted")
                chunks.append(await next_chunk(begun))
                total += len(chunks[-1])
    except (AnswerBrokeOff, TimeoutError) as exc:
        raise UpstreamUnreachable(f"{upstream.name}: its answer broke off") from exc
    return msgspec.structs.replace(begun, first=b"".join(chunks))


def readable(first: bytes, headers: Mapping[str, str]) -> bytes:
    """Return what the first bytes of a body say, as far as they can be unpacked."""
    content_encoding = headers.get("Content-Encoding")
    if content_encoding is None:
        return first
    pieces: list[bytes] = []
    try:
        coding = coding_of(content_encoding)
        pieces.extend(unpacked(first, coding, _BYTES) if coding else [first])
    except (BodyTooLarge, CodingUnknown, RequestInvalid):  # what was unpacked by then has to do
        pass
    return b"".join(pieces)
