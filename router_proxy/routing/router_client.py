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
from .triton_call import failure_of, inference_request, open_channel, read_decision

PROBE_TEXT = "Are you there?"
PROBE_SECONDS = 0.3  # well under the second that a kubelet waits

# Far above any budget: a call ends by itself, because cancelling one in flight can crash Triton before 25.04
# (triton-inference-server/server#7368, #8034).
_CALL_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
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
        breaker: Breaker,
        cache: DecisionCache | None,
        in_flight_limit: int,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._channel = open_channel(url, ca_file)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._breaker = breaker
        self._cache = cache
        self._in_flight: set[Call] = set()
        self._shared: dict[bytes, Call] = {}
        self._in_flight_limit = in_flight_limit
        self._metrics = metrics
        self._tracing = tracing
        self._probing: asyncio.Task[bool] | None = None
        self._last_failure = ClassifierFailed(Outcome.FAILOPEN_ERROR, "never asked")

    async def ask(self, data: bytes, budget_seconds: float, counter: AskCounter) -> Answered:
        """Return Triton's decision on a text, given as `text_to_send` has it.

        ClassifierFailed says why there is none within `budget_seconds`.
        """
        if self._cache is None:
            return Answered(decision=await self._ask_triton(data, budget_seconds, counter), cached=False)
        key = cache_key(data)
        if decision := self._cache.get(key):
            counter.looked_up("hit")
            return Answered(decision=decision, cached=True)
        if call := self._shared.get(key):
            counter.looked_up("joined")
            return Answered(decision=await self._within(budget_seconds, call), cached=True)
        counter.looked_up("miss")
        return Answered(decision=await self._ask_triton(data, budget_seconds, counter, key), cached=False)

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

    async def _ask_triton(
        self, data: bytes, budget_seconds: float, counter: AskCounter, key: bytes | None = None
    ) -> DecisionDocument:
        if len(self._in_flight) >= self._in_flight_limit:
            raise ClassifierFailed(Outcome.FAILOPEN_OVERLOAD, f"{self._in_flight_limit} decisions are in flight")
        if not self._breaker.admits():
            raise ClassifierFailed(self._last_failure.outcome, f"left alone after: {self._last_failure}")
        call = self._start(data)
        if key is not None:
            self._shared[key] = call
            call.add_done_callback(partial(self._remember, key))
        started = time.perf_counter()
        try:
            return await self._within(budget_seconds, call)
        finally:
            counter.classifier_answered((time.perf_counter() - started) * 1000)

    def _start(self, data: bytes) -> Call:
        call = asyncio.create_task(self._infer(data))
        self._in_flight.add(call)
        call.add_done_callback(self._forget)
        return call

    async def _within(self, budget_seconds: float, call: Call) -> DecisionDocument:
        """Wait for `call` but never cancel it."""
        done, _ = await asyncio.wait({call}, timeout=budget_seconds)
        if not done:  # what it brings later came too late for this request, so it is no success either
            raise self._failed(
                ClassifierFailed(Outcome.FAILOPEN_TIMEOUT, f"no decision within {budget_seconds * 1000:.0f} ms")
            )
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

    def _forget(self, call: Call) -> None:
        self._in_flight.discard(call)
        if not call.cancelled():
            call.exception()  # the caller may have left before it: then nobody else looks

    def _remember(self, key: bytes, call: Call) -> None:
        del self._shared[key]
        if self._cache is not None and not call.cancelled() and call.exception() is None:
            self._cache.put(key, call.result())

    def _failed(self, failure: ClassifierFailed) -> ClassifierFailed:
        self._last_failure = failure
        if failure.outcome is not Outcome.FAILOPEN_OVERLOAD:
            self._breaker.failed()
            self._metrics.router_failing(failing=self._breaker.is_open)
        return failure
