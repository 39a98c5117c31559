"""Asking Triton for a decision within a budget, over one gRPC channel that is never asked to cancel anything."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import grpc
import msgspec
from tritonclient.grpc import service_pb2_grpc

from router_proxy.errors import ClassifierFailed
from router_proxy.outcomes import Outcome
from router_proxy.record.metrics import Metrics
from router_proxy.record.tracing import Tracing
from router_proxy.upstreams.breaker import Breaker
from routing_policy.decision import DecisionDocument

from .decision_cache import DecisionCache, cache_key
from .decision_limit import DecisionLimit
from .triton_call import failure_of, inference_request, open_channel, read_decision

PROBE_TEXT = "Are you there?"
PROBE_SECONDS = 0.3  # well under the second that a kubelet waits

# Far above any budget: a call ends by itself, because cancelling one in flight can crash Triton before 25.04
# (triton-inference-server/server#7368, #8034).
_CALL_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_LEISURE_SECONDS = 0.05  # between two looks whether there is room for what nobody waits for
Call = asyncio.Task[DecisionDocument]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, and whether it cost no inference of its own."""

    decision: DecisionDocument
    cached: bool


class AskCounter(Protocol):
    """What is counted of asking: how the cache was of use, and how long Triton took."""

    def looked_up(self, result: Literal["hit", "joined", "miss"]) -> None: ...

    def classifier_answered(self, milliseconds: float) -> None: ...


class RouterClient:
    """One per process. Holds the channel, the breaker, the cache and the calls that outlived their budget."""

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None,
        budget_seconds: float,
        breaker: Breaker,
        cache: DecisionCache | None,
        in_flight_limit: int,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._channel = open_channel(url, ca_file)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._budget_seconds = budget_seconds
        self._breaker = breaker
        self._cache = cache
        self._in_flight: set[Call] = set()
        self._shared: dict[bytes, Call] = {}
        self._limit = DecisionLimit(most=in_flight_limit, budget_seconds=budget_seconds)
        self._answered_at = self._blamed_at = 0.0
        self._metrics = metrics
        self._tracing = tracing
        self._probing: asyncio.Task[bool] | None = None
        self._last_failure = ClassifierFailed(Outcome.FAILOPEN_ERROR, "never asked")

    async def ask(self, data: bytes, budget_seconds: float, counter: AskCounter) -> Answered:
        """Return Triton's decision on a text, given as `text_to_send` has it.

        ClassifierFailed says why there is none within `budget_seconds`.
        """
        if known := await self._known(data, budget_seconds, counter):
            return known
        if refusal := self._refusal():
            raise refusal
        return Answered(decision=await self._ask_triton(data, budget_seconds, counter), cached=False)

    async def ask_at_leisure(self, data: bytes, limit_seconds: float, counter: AskCounter) -> Answered:
        """Ask as `ask` does, but wait while there is no room: requests that somebody waits for go first."""
        if known := await self._known(data, limit_seconds, counter):
            return known
        left_seconds = await self._room_within(limit_seconds)
        return Answered(decision=await self._ask_triton(data, left_seconds, counter), cached=False)

    def expect_policy(self, revision: str) -> None:
        """Take notice that the policy file has another content: what the one before decided is not used any more."""
        if self._cache is not None:
            self._cache.expect(revision)

    async def probe(self) -> bool:
        """Whether a real inference works now; all who ask meanwhile share it, so that asking costs Triton little."""
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe())
            self._probing.add_done_callback(self._probed)
        return await asyncio.shield(self._probing)

    async def _probe(self) -> bool:
        try:
            await self.judge(PROBE_TEXT.encode(), PROBE_SECONDS)
        except ClassifierFailed:
            return False
        return True

    def _probed(self, _: asyncio.Task[bool]) -> None:
        self._probing = None

    async def judge(self, data: bytes, limit_seconds: float) -> DecisionDocument:
        """Return Triton's decision on a text of ours, past cache and breaker, as `ask` would get it now.

        Whatever it shows to be new empties the cache. It counts for the breaker as any other call does.
        """
        decision = await self._within(limit_seconds, self._start(data))
        if self._cache is not None:
            self._cache.saw(decision)
        return decision

    async def close(self) -> None:
        """Let calls in flight end, then close the channel."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=_CLOSE_SECONDS)
        await self._channel.close()

    async def _known(self, data: bytes, budget_seconds: float, counter: AskCounter) -> Answered | None:
        """Return what is decided already, or being decided for somebody else."""
        if self._cache is None:
            return None
        key = cache_key(data)
        if decision := self._cache.get(key):
            counter.looked_up("hit")
            if self._cache.is_due_for_a_look:
                self._look_again(data, key, self._cache)
            return Answered(decision=decision, cached=True)
        if call := self._shared.get(key):
            counter.looked_up("joined")
            return Answered(decision=await self._within(budget_seconds, call), cached=True)
        counter.looked_up("miss")
        return None

    def _look_again(self, data: bytes, key: bytes, cache: DecisionCache) -> None:
        """Decide a text anew that is in the cache, to see whether another policy or classifier decides by now."""
        if self._limit.has_room() and not self._breaker.is_open:
            cache.look_begins()
            self._share(key, self._start(data))

    def _refusal(self) -> ClassifierFailed | None:
        """Return why Triton is not to be asked now."""
        if not self._limit.has_room():
            return ClassifierFailed(
                Outcome.FAILOPEN_OVERLOAD, f"{self._limit.current} decisions are in flight: one more would be late"
            )
        if not self._breaker.admits():
            return ClassifierFailed(self._last_failure.outcome, f"left alone after: {self._last_failure}")
        return None

    async def _room_within(self, limit_seconds: float) -> float:
        """Return what is left of `limit_seconds` once there is room; ClassifierFailed when there is none in time."""
        deadline = time.monotonic() + limit_seconds
        while refusal := self._refusal():
            if time.monotonic() > deadline:
                raise refusal
            await asyncio.sleep(_LEISURE_SECONDS)
        return deadline - time.monotonic()

    async def _ask_triton(self, data: bytes, budget_seconds: float, counter: AskCounter) -> DecisionDocument:
        call = self._start(data)
        if self._cache is not None:
            self._share(cache_key(data), call)
        started = time.perf_counter()
        try:
            return await self._within(budget_seconds, call)
        finally:
            counter.classifier_answered((time.perf_counter() - started) * 1000)

    def _share(self, key: bytes, call: Call) -> None:
        """Let others who ask the same wait for `call`, and remember what it brings."""
        self._shared[key] = call
        call.add_done_callback(partial(self._remember, key))

    def _start(self, data: bytes) -> Call:
        call = asyncio.create_task(self._infer(data))
        self._in_flight.add(call)
        call.add_done_callback(partial(self._forget, self._limit.begin()))
        return call

    async def _within(self, budget_seconds: float, call: Call) -> DecisionDocument:
        """Wait for `call` but never cancel it."""
        began = time.monotonic()
        done, _ = await asyncio.wait({call}, timeout=budget_seconds)
        if not done:  # what it brings later came too late for this request, so it is no success either
            raise self._too_late(budget_seconds, began)
        failure = call.exception()
        if isinstance(failure, ClassifierFailed):
            raise self._failed(failure)
        self._breaker.succeeded()
        self._metrics.router_failing(failing=False)
        return call.result()

    async def _infer(self, data: bytes) -> DecisionDocument:
        trace: dict[str, str] = {}
        self._tracing.carry(trace)
        try:
            response = await self._stub.ModelInfer(
                inference_request(data), timeout=_CALL_SECONDS, metadata=tuple(trace.items())
            )
        except grpc.aio.AioRpcError as exc:
            raise failure_of(exc) from exc
        decision = read_decision(response)
        self._metrics.policy_refused(refused=decision.policy_error is not None)
        return decision

    def _forget(self, place: int, call: Call) -> None:
        self._in_flight.discard(call)
        # The caller may have left before it: then nobody else looks at the exception.
        failure = None if call.cancelled() else call.exception()
        if isinstance(failure, ClassifierFailed) and failure.outcome is Outcome.FAILOPEN_OVERLOAD:
            self._limit.turned_away(place)
        elif call.cancelled() or failure is not None:
            self._limit.failed(place)
        else:
            self._answered_at = time.monotonic()
            self._limit.answered(place)

    def _remember(self, key: bytes, call: Call) -> None:
        if self._shared.get(key) is call:
            del self._shared[key]
        if self._cache is not None and not call.cancelled() and call.exception() is None:
            self._cache.put(key, call.result())

    def _too_late(self, budget_seconds: float, began: float) -> ClassifierFailed:
        """Return the failure. Triton is to blame only if it had the whole budget and answered nobody meanwhile."""
        failure = ClassifierFailed(Outcome.FAILOPEN_TIMEOUT, f"no decision within {budget_seconds * 1000:.0f} ms")
        if budget_seconds < self._budget_seconds or self._answered_at > began or self._blamed_at > began:
            return failure
        self._blamed_at = time.monotonic()  # decisions that were late together are one stall, and count once
        return self._failed(failure)

    def _failed(self, failure: ClassifierFailed) -> ClassifierFailed:
        self._last_failure = failure
        if failure.outcome is not Outcome.FAILOPEN_OVERLOAD:
            self._breaker.failed()
            self._metrics.router_failing(failing=self._breaker.is_open)
        return failure
