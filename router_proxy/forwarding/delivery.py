"""Trying the choices in order until one answers. Once the first byte is sent, no other upstream is tried."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from aiohttp import web

from router_proxy.errors import ProxyError, UpstreamTimedOut, UpstreamUnreachable
from router_proxy.record.exchange import Exchange
from router_proxy.record.tracing import Tracing
from router_proxy.request.conversation_key import conversation_key
from router_proxy.upstreams.connections import Connections
from router_proxy.upstreams.placement import Choice, Plan
from router_proxy.upstreams.upstreams import Endpoint, Upstream

from .beginning import read_on, readable
from .relay import stream_back
from .sending import Begun, Outgoing, outgoing_request, send

# An upstream, or what stands before it, says so when it cannot answer anybody; a 500 may be about this request alone.
_ANOTHER_MAY_ANSWER = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_TOO_LONG = re.compile(rb"maximum (?:context|model) length|context_length_exceeded|max_model_len")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that has begun, and who gives it."""

    choice: Choice
    begun: Begun


async def deliver(
    request: web.Request, connections: Connections, plan: Plan, exchange: Exchange, *, tracing: Tracing
) -> web.StreamResponse:
    """Stream back the first answer; one that refuses the request as too long is tried once where there is more room."""
    async with first_answer(request, connections, plan, exchange, tracing=tracing) as answer:
        is_refused = answer.begun.response.status == HTTPStatus.BAD_REQUEST
        roomier = plan.roomier_than(answer.choice) if is_refused else None
        if roomier is None:
            return await stream_back(request, answer.begun, answer.choice.upstream, exchange)
        refusal = await read_on(answer.begun, answer.choice.upstream)
        if not _TOO_LONG.search(readable(refusal.first, refusal.response.headers)):
            return await stream_back(request, refusal, answer.choice.upstream, exchange)
    exchange.note_moved(roomier, "context")
    async with first_answer(request, connections, plan.only(roomier), exchange, tracing=tracing) as answer:
        return await stream_back(request, answer.begun, answer.choice.upstream, exchange)


@asynccontextmanager
async def first_answer(
    request: web.Request, connections: Connections, plan: Plan, exchange: Exchange, *, tracing: Tracing
) -> AsyncIterator[Answer]:
    """Ask the endpoints in order until one answers; its answer is open, and counts as work there, inside the block."""
    failure: ProxyError | None = None
    conversation = None
    if any(choice.keeps_conversations for choice in plan.choices):
        conversation = conversation_key(request.headers, plan.raw)
    for choice, endpoint, is_last in _attempts(plan.choices, conversation):
        outgoing = outgoing_request(request, choice.upstream, endpoint, await plan.body_for(choice))
        with endpoint.working(), tracing.asking(choice, endpoint, exchange):
            tracing.carry(outgoing.headers)
            try:
                begun = await _ask(connections, choice.upstream, endpoint, outgoing, is_last=is_last, exchange=exchange)
            except (UpstreamUnreachable, UpstreamTimedOut) as exc:
                failure = exc
                continue
            async with begun.response:
                yield Answer(choice=choice, begun=begun)
            return
    raise failure or UpstreamUnreachable(f"{plan.choices[0].upstream.name}: left alone for a moment after failures")


async def _ask(
    connections: Connections,
    upstream: Upstream,
    endpoint: Endpoint,
    outgoing: Outgoing,
    *,
    is_last: bool,
    exchange: Exchange,
) -> Begun:
    """Return the answer of `endpoint`, or raise what is wrong with it where another endpoint may have a better one."""
    try:
        begun = await send(connections, upstream, endpoint, outgoing)
    except (UpstreamUnreachable, UpstreamTimedOut) as exc:
        exchange.note_attempt(upstream.name, exc.result)
        raise
    except asyncio.CancelledError:
        exchange.note_attempt(upstream.name, "cancelled")
        raise
    status = begun.response.status
    if status in _ANOTHER_MAY_ANSWER and not is_last:
        begun.response.release()
        exchange.note_attempt(upstream.name, "5xx")
        raise UpstreamUnreachable(f"{upstream.name}: answered {status}")
    exchange.note_answer(upstream, endpoint, status)
    return begun


def _attempts(choices: Sequence[Choice], conversation: bytes | None) -> Iterator[tuple[Choice, Endpoint, bool]]:
    """Yield each endpoint of each choice that is to be asked, and whether it is the last of those."""
    attempts = [
        (choice, endpoint)
        for choice in choices
        for endpoint in choice.ranked_endpoints(conversation if choice.keeps_conversations else None)
    ]
    for position, (choice, endpoint) in enumerate(attempts, start=1):
        if endpoint.is_to_be_asked():
            yield choice, endpoint, not any(later.would_be_asked for _, later in attempts[position:])
