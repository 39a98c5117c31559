"""One call of the Triton model `semantic_router`: the channel, the request, and what its answer or error means."""

import struct
from pathlib import Path

import grpc
import msgspec
from tritonclient.grpc import service_pb2

from router_proxy.errors import ClassifierFailed, ConfigurationInvalid
from router_proxy.outcomes import Outcome
from routing_policy.clipping import END_BYTES
from routing_policy.decision import DecisionDocument
from routing_policy.errors import FileInvalid
from routing_policy.problem import Problem
from routing_policy.yaml_document import read_file

MODEL = "semantic_router"
_BYTES_LENGTH = struct.Struct("<I")
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a restarted Triton is found within two seconds
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.lb_policy_name", "round_robin"),  # dns:///triton:8001 in front of several pods uses them all
    ("grpc.dns_min_time_between_resolutions_ms", 5000),  # a pod that took another's place, within five
    ("grpc.enable_http_proxy", 0),
)
_DOCUMENT = msgspec.json.Decoder(DecisionDocument)


def open_channel(url: str, ca_file: Path | None) -> grpc.aio.Channel:
    if ca_file is None:
        return grpc.aio.insecure_channel(url, options=_CHANNEL_OPTIONS)
    try:
        credentials = grpc.ssl_channel_credentials(read_file(ca_file))
    except FileInvalid as exc:
        problem = Problem(file="environment", path="SEMROUTER_TRITON_CA_FILE", reason=str(exc))
        raise ConfigurationInvalid(problem) from exc
    return grpc.aio.secure_channel(url, credentials, options=_CHANNEL_OPTIONS)


def inference_request(data: bytes) -> service_pb2.ModelInferRequest:
    return service_pb2.ModelInferRequest(
        model_name=MODEL,
        inputs=[service_pb2.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[1, 1])],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="decision")],
        raw_input_contents=[_BYTES_LENGTH.pack(len(data)) + data],
    )


def text_to_send(text: str) -> bytes:
    """Encode `text`; of a long one send a little more of either end than `clip_text` keeps, so that it sees the cut."""
    data = text.encode(errors="replace")
    end = END_BYTES + 4
    if len(data) <= 2 * end:
        return data
    return data[:end].decode(errors="ignore").encode() + data[-end:].decode(errors="ignore").encode()


def read_decision(response: service_pb2.ModelInferResponse) -> DecisionDocument:
    """Read the one output asked for: a BYTES tensor of one element, four bytes of length before it."""
    try:
        return _DOCUMENT.decode(response.raw_output_contents[0][_BYTES_LENGTH.size :])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ClassifierFailed(Outcome.FAILOPEN_ERROR, f"{MODEL} answered what is not a decision: {exc}") from exc


def failure_of(error: grpc.aio.AioRpcError) -> ClassifierFailed:
    """Tell outcomes apart by message: Triton before 25.04 gives most child errors the same status."""
    detail = error.details() or error.code().name
    if "Exceeds maximum queue size" in detail:
        return ClassifierFailed(Outcome.FAILOPEN_OVERLOAD, detail)
    if "Request timeout expired" in detail or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ClassifierFailed(Outcome.FAILOPEN_TIMEOUT, detail)
    return ClassifierFailed(Outcome.FAILOPEN_ERROR, detail)
