"""The encoder of a bundle without its last layer, and a new last layer in that one's place: no torch, no checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.classifier.inference import logits_in_buckets, open_session, read_tokenizer
from export.errors import CheckpointUnsupported
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle
from routing_policy.clipping import clip_text

from .curve import Numbers

WEIGHT, BIAS = "outcomes.weight", "outcomes.bias"


def read_features(directory: Path, bundle: Bundle, texts: list[str]) -> Numbers:
    """Return what the last layer of the bundle's graph reads of each text, [texts, features].

    Raises CheckpointUnsupported where the scores of the graph come from no float32 last layer.
    """
    model = onnx.load(directory / MODEL_FILE)
    layer = _last_layer(model, directory, bundle.output)
    width = _weights(model, layer)[0].shape[0 if not _is_transposed(layer) else 1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(layer.input[0], TensorProto.FLOAT, ["batch", width]))
    session = open_session(model.SerializeToString())
    tokenizer = read_tokenizer(directory / TOKENIZER_FILE)
    ids = [clip_text(tokenizer, text, bundle.max_length).ids for text in texts]
    return logits_in_buckets(session, ids, bundle.buckets, batch_size=16).astype(np.float64)


def write_with_layer(  # noqa: PLR0917 - what is read, what is new, where it goes
    directory: Path, bundle: Bundle, weights: Numbers, biases: Numbers, file: Path
) -> None:
    """Write the graph with a last layer of `weights` [outputs, features] and `biases` [outputs] to `file`."""
    model = onnx.load(directory / MODEL_FILE)
    graph, layer = model.graph, _last_layer(model, directory, bundle.output)
    new = helper.make_node("Gemm", [layer.input[0], WEIGHT, BIAS], [bundle.output], name=WEIGHT, transB=1)
    graph.node.insert([*graph.node].index(layer), new)
    graph.node.remove(layer)
    used = {name for node in graph.node for name in node.input}
    for tensor in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(tensor)
    graph.initializer.extend(
        numpy_helper.from_array(values.astype(np.float32), name) for name, values in ((WEIGHT, weights), (BIAS, biases))
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(bundle.output, TensorProto.FLOAT, ["batch", len(biases)]))
    onnx.save(model, file)


def _last_layer(model: onnx.ModelProto, directory: Path, output: str) -> onnx.NodeProto:
    layer: onnx.NodeProto | None = next((node for node in model.graph.node if output in node.output), None)
    if layer is None or layer.op_type != "Gemm" or not _weights(model, layer):
        raise CheckpointUnsupported(str(directory), "its scores come from no last layer (Gemm) that could be replaced")
    return layer


def _weights(model: onnx.ModelProto, layer: onnx.NodeProto) -> list[npt.NDArray[Any]]:
    """Return the layer's matrix, where it is a float32 constant."""
    return [
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name == layer.input[1] and tensor.data_type == TensorProto.FLOAT
    ]


def _is_transposed(layer: onnx.NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in layer.attribute)
