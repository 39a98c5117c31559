"""Where a stored response lives: OpenAI's Responses are kept by the very server that gave them."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

import aiohttp
import msgspec

from router_proxy.errors import Overloaded, RouteUnknown
from router_proxy.request.body import decode_fields, text_of
from router_proxy.request.json_members import check_named_once, member_name
from router_proxy.request.scanning import LARGE_BYTES

from .response_memory import Place, ResponseMemory
from .upstreams import Endpoint, Upstream, Upstreams

RESPONSES_PATH = "/v1/responses"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STATED_ID = re.compile(rb'"id"\s*:\s*"(resp_[A-Za-z0-9_-]{1,128})"')
_SEARCH_TIMEOUT = aiohttp.ClientTimeout(total=2)
_SEARCHES_AT_ONCE = 20
_SEARCHES_A_SECOND = 5
_EVERYBODY = ""  # the client where no keys tell clients apart


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    upstream: Upstream
    endpoint: Endpoint


class _Continued(msgspec.Struct):
    previous_response_id: msgspec.Raw = msgspec.Raw(b"")


_PREVIOUS_ID = member_name("previous_response_id")
_CONTINUED = msgspec.json.Decoder(_Continued)


class Searches:
    """Lets a burst of searches through, then so many a second: each asks every endpoint."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(_SEARCHES_AT_ONCE)
        self._counted_at = clock()

    def take_one(self) -> None:
        now = self._clock()
        self._left = min(_SEARCHES_AT_ONCE, self._left + (now - self._counted_at) * _SEARCHES_A_SECOND)
        self._counted_at = now
        if self._left < 1:
            raise Overloaded("Too many unknown responses are being looked for.", retry_after_seconds=1)
        self._left -= 1


class StoredResponses:
    """Remembers who gave which response to whom.

    Where clients have keys each finds its own only, and nobody is asked for others: that would find anybody's. Where
    they have none, upstreams are asked for what never passed here, so often and no oftener.
    """

    def __init__(self, session: aiohttp.ClientSession, memory: ResponseMemory) -> None:
        self._session = session
        self._memory = memory
        self._searches = Searches()

    def passed(self, client: str | None, head: bytes, upstream: Upstream, endpoint: Endpoint) -> None:
        """Note the id that an answer, of which `head` is the beginning, states first."""
        if found := _STATED_ID.search(head):
            holder = Holder(upstream=upstream, endpoint=endpoint)
            self._remember(client or _EVERYBODY, found[1].decode(), holder)

    async def continued(self, client: str | None, raw: bytes, upstreams: Upstreams) -> Holder | None:
        """Return who keeps the response that the request `raw` goes on from.

        Where clients have keys, one that is not the client's own must not reach an upstream, which may know it.
        """
        response_id = _continued_id(raw) if len(raw) <= LARGE_BYTES else await asyncio.to_thread(_continued_id, raw)
        holder = await self.find(client, response_id, upstreams) if response_id else None
        if holder is None and response_id and upstreams.client_keys:
            raise response_unknown(response_id, param="previous_response_id")
        return holder

    async def find(self, client: str | None, response_id: str, upstreams: Upstreams) -> Holder | None:
        """Return who keeps `response_id` for `client`; everybody is asked at once when nobody is known to."""
        if not _ID.fullmatch(response_id):
            return None
        place = self._memory.find(client or _EVERYBODY, response_id)
        holders = list(_all_holders(upstreams))
        for holder in holders:
            if place == _place(holder):
                return holder
        return None if upstreams.client_keys else await self._search(holders, response_id)

    async def _search(self, holders: list[Holder], response_id: str) -> Holder | None:
        self._searches.take_one()
        answers = await asyncio.gather(*(self._keeps(holder, response_id) for holder in holders))
        found = next((holder for holder, keeps in zip(holders, answers, strict=True) if keeps), None)
        if found is not None:
            self._remember(_EVERYBODY, response_id, found)
        return found

    def _remember(self, client: str, response_id: str, holder: Holder) -> None:
        self._memory.remember(client, response_id, _place(holder))

    async def _keeps(self, holder: Holder, response_id: str) -> bool:
        try:
            async with self._session.get(
                holder.endpoint.url_for(f"{RESPONSES_PATH}/{response_id}"),
                headers=holder.upstream.own_headers(holder.endpoint),
                timeout=_SEARCH_TIMEOUT,
                ssl=holder.upstream.trust,
                allow_redirects=False,
            ) as answer:
                return answer.status == HTTPStatus.OK
        except Exception:  # noqa: BLE001 - whatever it is, this endpoint cannot be asked
            return False


def response_unknown(response_id: str, *, param: str | None = None) -> RouteUnknown:
    return RouteUnknown(f"Response with id {response_id!r} not found.", code="response_not_found", param=param)


def _continued_id(raw: bytes) -> str | None:
    """Return the id of the response that the request `raw` goes on from."""
    check_named_once(raw, (_PREVIOUS_ID,))
    return text_of(decode_fields(raw, _CONTINUED).previous_response_id)


def _place(holder: Holder) -> Place:
    return Place(upstream=holder.upstream.name, endpoint=holder.endpoint.place)


def _all_holders(upstreams: Upstreams) -> Iterable[Holder]:
    for upstream in map(upstreams.serving, upstreams):
        for endpoint in upstream.endpoints:
            yield Holder(upstream=upstream, endpoint=endpoint)
