"""The fp16 copy of a bundle's graph for a GPU, made from the weights and scales of the int8 one: no checkpoint needed.

ONNX Runtime has no CUDA kernel for DynamicQuantizeLinear (microsoft/onnxruntime: docs/OperatorKernels.md), so on a GPU
the int8 graph would go back to the host for every matrix. Triton takes the copy by `cc_model_filenames`, and the int8
graph wherever an instance is on the CPU (triton-inference-server/backend: src/backend_model_instance.cc).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import onnx

from export.classifier.inference import Logits, logits_in_buckets, open_classifier, open_session
from routing_policy.bundle import MODEL_FILE, file_sha256

from .check_prompts import TokenizedPrompts, gate_prompts, tokenize_prompts
from .dequantisation import dequantise_graph
from .fusion import fuse_attention
from .variants import GATES, Change, Gate, require_gate, score_change, to_fp16

GPU_FILE = "model_fp16.onnx"
RECORD_FILE = "model_fp16.json"

# The int8 graph is up to 0.10 from the fp32 one that it was made of, and its scores depend a little on the batch.
AGAINST_INT8 = Gate(min_agreement=0.98, max_score_change=0.15)


class GpuGraph(msgspec.Struct, frozen=True, kw_only=True):
    """What the copy was made from, and how far its scores are from those of the int8 graph, both on the CPU."""

    made_from: str  # SHA-256 of model.onnx
    against_int8: Change
    against_fp32: Change


def write_gpu_graph(directory: Path) -> GpuGraph:
    """Write model_fp16.onnx beside the graph of the bundle in `directory`; raises GateFailed where it judges otherwise.

    One made from the same graph before is left as it is.
    """
    digest = file_sha256(directory / MODEL_FILE)
    record = _read_record(directory)
    if record is not None and record.made_from == digest:
        return record
    classifier = open_classifier(directory)
    bundle = classifier.bundle
    prompts = tokenize_prompts(classifier.tokenizer, gate_prompts(), bundle.buckets)
    model = onnx.load(directory / MODEL_FILE)
    dequantise_graph(model)
    fuse_attention(model)
    with TemporaryDirectory(dir=directory, prefix=".gpu-") as folder:
        full, half = Path(folder, "fp32.onnx"), Path(folder, GPU_FILE)
        onnx.save(model, full)
        onnx.save(to_fp16(model), half)
        reference = _logits(directory / MODEL_FILE, prompts)
        exact = _logits(full, prompts)
        record = GpuGraph(
            made_from=digest,
            against_int8=score_change(reference, [exact], bundle.problem_type),
            against_fp32=score_change(exact, [_logits(half, prompts)], bundle.problem_type),
        )
        require_gate("int8", record.against_int8, AGAINST_INT8)
        require_gate("fp16", record.against_fp32, GATES["fp16"])
        half.replace(directory / GPU_FILE)
    (directory / RECORD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return record


def _logits(graph: Path, prompts: TokenizedPrompts) -> Logits:
    return logits_in_buckets(open_session(graph), prompts.ids, prompts.buckets, batch_size=8)


def _read_record(directory: Path) -> GpuGraph | None:
    """Return what was noted of a copy that is there; None where there is none, or nothing readable about it."""
    if not (directory / GPU_FILE).is_file():
        return None
    try:
        return msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=GpuGraph)
    except (OSError, msgspec.DecodeError):
        return None
