"""Where a stored response lives: OpenAI's Responses are kept by the very server that gave them."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from router_proxy.request.body import decode_fields

from .upstreams import Endpoint, Upstream, Upstreams

RESPONSES_PATH = "/v1/responses"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATED_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]{1,128})"')
_SEARCH_TIMEOUT = aiohttp.ClientTimeout(total=2)
_REMEMBERED = 10_000


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    upstream: Upstream
    endpoint: Endpoint


class _Continued(msgspec.Struct):
    previous_response_id: Any = None


_CONTINUED = msgspec.json.Decoder(_Continued)


class StoredResponses:
    """Remembers who gave which response, and asks around for those it never saw."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._places: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def passed(self, head: bytes, upstream: Upstream, endpoint: Endpoint) -> None:
        """Note the id that an answer, of which `head` is the beginning, states first."""
        if found := _STATED_ID.search(head):
            self._remember(found[1].decode(), Holder(upstream=upstream, endpoint=endpoint))

    async def find(self, response_id: str, upstreams: Upstreams) -> Holder | None:
        """Return who keeps `response_id`; everybody is asked at once when nobody is known to."""
        if not _ID.fullmatch(response_id):
            return None
        place = self._places.get(response_id)
        holders = list(_all_holders(upstreams))
        for holder in holders:
            if place == (holder.upstream.name, holder.endpoint.url):
                return holder
        answers = await asyncio.gather(*(self._keeps(holder, response_id) for holder in holders))
        found = next((holder for holder, keeps in zip(holders, answers, strict=True) if keeps), None)
        if found is not None:
            self._remember(response_id, found)
        return found

    def _remember(self, response_id: str, holder: Holder) -> None:
        self._places[response_id] = (holder.upstream.name, holder.endpoint.url)
        self._places.move_to_end(response_id)
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)

    async def _keeps(self, holder: Holder, response_id: str) -> bool:
        url = holder.endpoint.url_for(f"{RESPONSES_PATH}/{response_id}")
        headers, trust = holder.upstream.own_headers(holder.endpoint), holder.upstream.trust
        try:
            async with self._session.get(url, headers=headers, timeout=_SEARCH_TIMEOUT, ssl=trust) as answer:
                return answer.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def continued_id(raw: bytes) -> str | None:
    """Return the id of the response that the request `raw` goes on from."""
    stated = decode_fields(raw, _CONTINUED).previous_response_id
    return stated if isinstance(stated, str) else None


def _all_holders(upstreams: Upstreams) -> Iterable[Holder]:
    for upstream in map(upstreams.serving, upstreams):
        for endpoint in upstream.endpoints:
            yield Holder(upstream=upstream, endpoint=endpoint)
