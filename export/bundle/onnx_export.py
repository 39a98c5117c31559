"""From a checkpoint folder to an fp32 ONNX graph, with the exporter everyone uses: optimum's."""

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.classifier.third_party import quiet_libraries
from export.errors import CheckpointUnavailable, CheckpointUnsupported

OPSET = 18
# The oldest ONNX Runtime a supported Triton image carries (1.19) reads graphs up to this IR version.
MAX_IR_VERSION = 10
SEGMENTS = "token_type_ids"


def export_graph(checkpoint: Path, graph: Path) -> None:
    """Export the sequence classifier in `checkpoint` as fp32 with dynamic batch and length; writes `graph`.

    The graph takes input_ids and attention_mask whatever the architecture, so that one may succeed another.
    """
    with TemporaryDirectory() as folder, quiet_libraries():
        _run_optimum(checkpoint, Path(folder))
        model = onnx.load(Path(folder) / "model.onnx")
    _check_versions(model, str(checkpoint))
    fold_segments(model.graph)
    onnx.save(model, graph)


def fold_segments(graph: onnx.GraphProto) -> None:
    """Make the third input of BERT and its kin inside the graph: a prompt is one segment, all zeros."""
    kept = [tensor for tensor in graph.input if tensor.name != SEGMENTS]
    if len(kept) == len(graph.input):
        return
    del graph.input[:]
    graph.input.extend(kept)
    zero = f"{SEGMENTS}_zero"
    graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.int64), zero))
    graph.node.insert(0, helper.make_node("Mul", ["input_ids", zero], [SEGMENTS], name=SEGMENTS))


def exporter_versions() -> dict[str, str]:
    """Return the versions of everything that shapes the exported graph."""
    return {name: version(name) for name in ("optimum-onnx", "transformers", "torch", "onnx", "onnxruntime")}


def _run_optimum(checkpoint: Path, output: Path) -> None:
    from optimum.exporters.onnx import main_export

    try:
        main_export(
            str(checkpoint),
            output=output,
            task="text-classification",
            opset=OPSET,
            framework="pt",
            library_name="transformers",
            local_files_only=True,
            do_validation=False,  # `parity` compares on real prompts instead
        )
    except OSError as exc:
        raise CheckpointUnavailable(str(checkpoint), str(exc).splitlines()[0]) from exc
    except (KeyError, ValueError, NotImplementedError) as exc:
        raise CheckpointUnsupported(str(checkpoint), f"optimum cannot export it: {exc}") from exc


def _check_versions(model: onnx.ModelProto, checkpoint: str) -> None:
    if model.ir_version > MAX_IR_VERSION:
        reason = f"exported with ONNX IR version {model.ir_version}, servers read up to {MAX_IR_VERSION}"
        raise CheckpointUnsupported(checkpoint, reason)
