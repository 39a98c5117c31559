"""config.pbtxt of a classifier: written for a new one, and compared with a graph as Triton's C++ backend would."""

from typing import Any

import numpy as np
from google.protobuf import text_format  # type: ignore[import-untyped]  # ships no types
from tritonclient.grpc import model_config_pb2

from routing_policy.bundle import Bundle

CONFIG_FILE = "config.pbtxt"
WARMUP_DIRECTORY = "warmup"  # where Triton looks for input_data_file
WARMUP_MASK = "ones"
_ORT_TYPES = {
    model_config_pb2.TYPE_INT64: "tensor(int64)",
    model_config_pb2.TYPE_INT32: "tensor(int32)",
    model_config_pb2.TYPE_FP32: "tensor(float)",
    model_config_pb2.TYPE_FP16: "tensor(float16)",
}
# Compute capabilities with fp16 matrix units, from Volta on (developer.nvidia.com/cuda-gpus).
CAPABILITIES = ("7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "10.3", "11.0", "12.0", "12.1")
_TEMPLATE = """\
name: "{name}"
backend: "onnxruntime"
version_policy {{ latest {{ num_versions: 2 }} }}
max_batch_size: 32
input [
{inputs}
]
output [
  {{ name: "{output}" data_type: TYPE_FP32 dims: [ {labels} ] }}
]
# Bounded by its only caller: semantic_router. A queue policy here makes single instances stall for 500 ms.
dynamic_batching {{ }}
# One thread each, one for each instance of semantic_router: two batches side by side beat one on two threads.
instance_group [
  {{ count: 2 }}
]
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
{warmup}"""
# Token ids may be zero, but a mask of zeros would make a softmax of nothing, and Triton's own fillers know only those.
_WARMUP = """\
model_warmup {{
  name: "{length} tokens"
  batch_size: 1
{inputs}}}
"""


def classifier_config(name: str, bundle: Bundle) -> str:
    """Return the config.pbtxt that serves `bundle` as the Triton model `name`."""
    inputs = ",\n".join(f'  {{ name: "{tensor}" data_type: TYPE_INT64 dims: [ -1 ] }}' for tensor in bundle.inputs)
    warmup = "".join(_warmup(bundle.inputs, length) for length in bundle.buckets)
    return _TEMPLATE.format(name=name, inputs=inputs, output=bundle.output, labels=len(bundle.labels), warmup=warmup)


def with_gpu_file(content: str, file: str) -> str:
    """Return config.pbtxt naming `file` for every GPU that computes in fp16; one that names a file stays as it is."""
    if parse_config(content).cc_model_filenames:
        return content
    named = "".join(f'cc_model_filenames {{ key: "{capability}" value: "{file}" }}\n' for capability in CAPABILITIES)
    return f"{content.rstrip()}\n# A GPU has no kernels for the int8 graph: there Triton serves its fp16 copy.\n{named}"


def names_gpu_file(content: str) -> bool:
    return bool(parse_config(content).cc_model_filenames)


def warmup_mask(bundle: Bundle) -> bytes:
    """Return the file the warm-ups of `bundle` read their attention mask from: ones, as int64."""
    return np.ones(bundle.buckets[-1], dtype=np.int64).tobytes()


def longest_warmup(config: Any) -> int:
    """Return the length of the longest warm-up, 0 without any."""
    lengths = (size for sample in config.model_warmup for tensor in sample.inputs.values() for size in tensor.dims)
    return max(lengths, default=0)


def parse_config(content: str) -> Any:
    """Parse a config.pbtxt as Triton does: an unknown field is an error (text_format.ParseError)."""
    return text_format.Parse(content, model_config_pb2.ModelConfig())


def mismatch(config: Any, session: Any) -> str | None:
    """Return why Triton would refuse to serve `session`'s graph under `config`, or None when it would not."""
    return _mismatch("input", config.input, session.get_inputs()) or _mismatch(
        "output", config.output, session.get_outputs()
    )


def _warmup(inputs: list[str], length: int) -> str:
    lines = ""
    for name in inputs:
        filler = f'input_data_file: "{WARMUP_MASK}"' if name == "attention_mask" else "zero_data: true"
        lines += f'  inputs {{ key: "{name}" value {{ data_type: TYPE_INT64 dims: [ {length} ] {filler} }} }}\n'
    return _WARMUP.format(length=length, inputs=lines)


def _mismatch(kind: str, configured: Any, actual: Any) -> str | None:
    graph = {tensor.name: tensor for tensor in actual}
    names = [tensor.name for tensor in configured]
    if sorted(names) != sorted(graph):
        return f"{kind}s: expected {sorted(names)}, the graph has {sorted(graph)}"
    return next(
        (reason for tensor in configured if (reason := _tensor_mismatch(kind, tensor, graph[tensor.name]))), None
    )


def _tensor_mismatch(kind: str, configured: Any, actual: Any) -> str | None:
    expected_type = _ORT_TYPES.get(configured.data_type)
    if actual.type != expected_type:
        return f"{kind} {configured.name}: expected {expected_type}, the graph has {actual.type}"
    expected = [-1, *configured.dims]
    found = [size if isinstance(size, int) else -1 for size in actual.shape]
    if len(expected) != len(found) or found[0] != -1 or not all(map(_fits, expected, found)):
        return f"{kind} {configured.name}: expected shape {expected}, the graph has {found}"
    return None


def _fits(configured: int, actual: int) -> bool:
    return -1 in (configured, actual) or configured == actual
