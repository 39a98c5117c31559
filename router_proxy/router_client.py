"""Asking Triton for a decision within a budget, over one gRPC channel that is never asked to cancel anything."""

import asyncio
import struct
import time
from collections.abc import Callable

import grpc
import msgspec
from tritonclient.grpc import service_pb2, service_pb2_grpc

from routing_policy.clipping import END_BYTES
from routing_policy.decision import DecisionDocument

from .breaker import Breaker
from .errors import ClassifierFailed
from .outcomes import Outcome

MODEL = "semantic_router"
PROBE_TEXT = "Are you there?"
PROBE_SECONDS = 1.0

# Far above any budget: a call ends by itself, because cancelling one in flight can crash Triton before 25.04
# (triton-inference-server/server#7368, #8034).
_CALL_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_BYTES_LENGTH = struct.Struct("<I")
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a restarted Triton is found within two seconds
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.enable_http_proxy", 0),
)
_DOCUMENT = msgspec.json.Decoder(DecisionDocument)


class RouterClient:
    """One per process. Holds the channel, the breaker and the calls that outlived their budget."""

    def __init__(
        self, url: str, *, breaker: Breaker, in_flight_limit: int, observe_round_trip: Callable[[float], None]
    ) -> None:
        self._channel = grpc.aio.insecure_channel(url, options=_CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._breaker = breaker
        self._in_flight: set[asyncio.Task[DecisionDocument]] = set()
        self._in_flight_limit = in_flight_limit
        self._observe_round_trip = observe_round_trip
        self._last_failure = ClassifierFailed(Outcome.FAILOPEN_ERROR, "never asked")

    @property
    def is_failing(self) -> bool:
        return self._breaker.is_open

    async def ask(self, text: str, budget_seconds: float) -> DecisionDocument:
        """Return Triton's decision on `text`; ClassifierFailed says why there is none within `budget_seconds`."""
        if len(self._in_flight) >= self._in_flight_limit:
            raise ClassifierFailed(Outcome.FAILOPEN_OVERLOAD, f"{self._in_flight_limit} decisions are in flight")
        if not self._breaker.admits():
            raise ClassifierFailed(self._last_failure.outcome, f"left alone after: {self._last_failure}")
        started = time.perf_counter()
        try:
            return await self._within(budget_seconds, text)
        finally:
            self._observe_round_trip((time.perf_counter() - started) * 1000)

    async def probe(self) -> bool:
        """Whether a real inference works now; counts for the breaker as any other call does."""
        try:
            await self._within(PROBE_SECONDS, PROBE_TEXT)
        except ClassifierFailed:
            return False
        return True

    async def close(self) -> None:
        """Let calls in flight end, then close the channel."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=_CLOSE_SECONDS)
        await self._channel.close()

    async def _within(self, budget_seconds: float, text: str) -> DecisionDocument:
        call = asyncio.create_task(self._infer(text, budget_seconds))
        self._in_flight.add(call)
        call.add_done_callback(self._forget)
        done, _ = await asyncio.wait({call}, timeout=budget_seconds)
        if not done:  # whatever it brings later helps nobody, so it does not count as a success either
            raise self._failed(
                ClassifierFailed(Outcome.FAILOPEN_TIMEOUT, f"no decision within {budget_seconds * 1000:.0f} ms")
            )
        failure = call.exception()
        if isinstance(failure, ClassifierFailed):
            raise self._failed(failure)
        self._breaker.succeeded()
        return call.result()

    async def _infer(self, text: str, queue_seconds: float) -> DecisionDocument:
        try:
            response = await self._stub.ModelInfer(_request(text, queue_seconds), timeout=_CALL_SECONDS)
            return _decision(response)
        except grpc.aio.AioRpcError as exc:
            raise _failure(exc) from exc

    def _forget(self, call: "asyncio.Task[DecisionDocument]") -> None:
        self._in_flight.discard(call)
        if not call.cancelled():
            call.exception()  # the caller may have left before it: then nobody else looks

    def _failed(self, failure: ClassifierFailed) -> ClassifierFailed:
        self._last_failure = failure
        if failure.outcome is not Outcome.FAILOPEN_OVERLOAD:
            self._breaker.failed()
        return failure


def _request(text: str, queue_seconds: float) -> service_pb2.ModelInferRequest:
    data = _bounded(text)
    request = service_pb2.ModelInferRequest(
        model_name=MODEL,
        inputs=[service_pb2.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[1, 1])],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="decision")],
        raw_input_contents=[_BYTES_LENGTH.pack(len(data)) + data],
    )
    request.parameters["timeout"].int64_param = max(1, int(queue_seconds * 1_000_000))
    return request


def _bounded(text: str) -> bytes:
    """Encode `text`; of a long one send a little more of either end than `clip_text` keeps, so that it sees the cut."""
    data = text.encode(errors="replace")
    end = END_BYTES + 4
    if len(data) <= 2 * end:
        return data
    return data[:end].decode(errors="ignore").encode() + data[-end:].decode(errors="ignore").encode()


def _decision(response: service_pb2.ModelInferResponse) -> DecisionDocument:
    """Read the one output asked for: a BYTES tensor of one element, four bytes of length before it."""
    try:
        return _DOCUMENT.decode(response.raw_output_contents[0][_BYTES_LENGTH.size :])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ClassifierFailed(Outcome.FAILOPEN_ERROR, f"{MODEL} answered what is not a decision: {exc}") from exc


def _failure(error: grpc.aio.AioRpcError) -> ClassifierFailed:
    """Tell outcomes apart by message: Triton before 25.04 gives most child errors the same status."""
    detail = error.details() or error.code().name
    if "Exceeds maximum queue size" in detail:
        return ClassifierFailed(Outcome.FAILOPEN_OVERLOAD, detail)
    if "Request timeout expired" in detail or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ClassifierFailed(Outcome.FAILOPEN_TIMEOUT, detail)
    return ClassifierFailed(Outcome.FAILOPEN_ERROR, detail)
