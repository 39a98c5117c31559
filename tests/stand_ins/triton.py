"""A stand-in for Triton that can be slow, wrong or overloaded on demand; the real one will not do that when asked."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import msgspec
from tritonclient.grpc import service_pb2, service_pb2_grpc

from routing_policy.decision import DecisionDocument
from routing_policy.keywords import keyword_scores
from routing_policy.policy import Policy
from tests.stand_ins.decisions import decision_document


class StandInTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # ships no types
    """Decides by keyword until told otherwise: `error`, `answer` and `released` are set by tests."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.texts: list[str] = []
        self.metadata: list[dict[str, str]] = []
        self.error: tuple[grpc.StatusCode, str] | None = None
        self.answer: bytes | None = None
        self.asked = asyncio.Event()
        self.released = asyncio.Event()  # cleared, every call waits
        self.released.set()
        self.calls_not_cancelled = 0

    @asynccontextmanager
    async def serving(self, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[str]:
        """Serve on a free port and yield its address; calls still held are let go at the end."""
        server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, server)
        place = "127.0.0.1:0"
        port = server.add_secure_port(place, credentials) if credentials else server.add_insecure_port(place)
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            self.released.set()
            await server.stop(grace=None)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - Triton's name
        text = request.raw_input_contents[0][4:].decode()
        self.texts.append(text)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        self.asked.set()
        await self.released.wait()
        self.calls_not_cancelled += 1
        if self.error:
            await context.abort(*self.error)
        data = self.answer or msgspec.json.encode(self.decision(text))
        return service_pb2.ModelInferResponse(raw_output_contents=[struct.pack("<I", len(data)) + data])

    def decision(self, text: str) -> DecisionDocument:
        return decision_document(self._policy, keyword_scores(text, ["non-reasoning", "reasoning"]))
