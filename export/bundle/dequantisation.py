"""From an int8 graph back to float32, for another precision, and to the weights of its BERT, for training.

    dequantise_graph(model)  # in place, of any family
    weights = read_weights(BUNDLE / "model.onnx")  # {"bert.encoder.layer.0.attention.self.query.weight": float32, ...}
    config = bert_config(BUNDLE / "model.onnx", weights)  # BertConfig's fields but for the labels
    write_checkpoint(BUNDLE, read_bundle(BUNDLE), FOLDER)  # a Hugging Face folder

Names and shapes are those of transformers' BertForSequenceClassification. A graph states its matrices by the place
they are used in, so a parameter is named after the module that computes with it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export.errors import CheckpointUnsupported
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle

from .fusion import fuse_attention
from .quantisation import BLOCK_ZERO

WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
FIRST_INNER = "bert.encoder.layer.0.intermediate.dense.weight"
LAYER_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)

Float32 = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]
Nodes = list[onnx.NodeProto]


def dequantise_graph(model: onnx.ModelProto) -> None:
    """Undo what `quantise_graph` did: float32 matrices and tables again, in place; any other graph stays as it is."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    products, lookups = _quantised_outputs(model.graph)
    nodes: Nodes = []
    restored: dict[str, Float32] = {}
    for node in model.graph.node:
        output = node.output[0]
        if output in products:
            activation, weight = products[output]
            restored[weight] = stored[f"{weight}_int8"].astype(np.float32) * stored[f"{weight}_scale"]
            nodes.append(helper.make_node("MatMul", [activation, weight], [output], f"{output}_matmul"))
        elif output in lookups:
            table, ids = lookups[output]
            restored[table] = stored[f"{table}_int8"].astype(np.float32) * stored[f"{table}_scale"]
            nodes.append(helper.make_node("Gather", [table, ids], [output], f"{output}_gather"))
        elif node.op_type == "MatMulNBits":
            activation, blocks, scales = node.input
            weight = blocks.removesuffix("_int8")
            restored[weight] = _from_blocks(stored[blocks], stored[scales], _attribute(node, "K")).T
            nodes.append(helper.make_node("MatMul", [activation, weight], [output], f"{output}_matmul"))
        else:
            nodes.append(node)
    _replace(model.graph, nodes, restored)


def read_weights(graph: Path) -> dict[str, Float32]:
    """Return every parameter of the BERT in `graph`, int8 or fp32; raises CheckpointUnsupported for another."""
    model = onnx.load(graph)
    dequantise_graph(model)
    stored = _stored(model.graph)
    weights = {name: stored[name].astype(np.float32) for name in (WORDS, POSITIONS, SEGMENTS) if name in stored}
    for node in model.graph.node:
        for kind, value in _used_by(node, stored).items():
            weights[f"{_module(node.output[0])}.{kind}"] = np.ascontiguousarray(value, dtype=np.float32)
    missing = _parameter_names(weights) - weights.keys()
    if missing:
        raise CheckpointUnsupported(str(graph), f"is no int8 or fp32 graph of a BERT: it has no {min(missing)}")
    return weights


def bert_config(graph: Path, weights: dict[str, Float32]) -> dict[str, Any]:
    """Return BertConfig's fields for the `weights` of `graph`."""
    model = onnx.load(graph)
    fuse_attention(model)  # an fp32 graph says how many heads there are only afterwards
    nodes = model.graph.node
    epsilon = next(_attribute(node, "epsilon") for node in nodes if node.op_type == "LayerNormalization")
    heads = next((_attribute(node, "num_heads") for node in nodes if node.op_type == "MultiHeadAttention"), None)
    if heads is None:
        raise CheckpointUnsupported(str(graph), "does not say how many heads its attention has")
    return {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "vocab_size": len(weights[WORDS]),
        "hidden_size": weights[WORDS].shape[1],
        "num_hidden_layers": _layers(weights),
        "num_attention_heads": heads,
        "intermediate_size": len(weights[FIRST_INNER]),
        "max_position_embeddings": len(weights[POSITIONS]),
        "type_vocab_size": len(weights[SEGMENTS]),
        "layer_norm_eps": round(epsilon, 15),
        "pad_token_id": 0,
    }


def write_checkpoint(bundle_folder: Path, bundle: Bundle, folder: Path) -> None:
    """Write the classifier in `bundle_folder` as a Hugging Face folder, with its labels and its tokenizer."""
    from safetensors.numpy import save_file

    weights = read_weights(bundle_folder / MODEL_FILE)
    config = bert_config(bundle_folder / MODEL_FILE, weights) | {
        "id2label": {str(index): label for index, label in enumerate(bundle.labels)},
        "label2id": {label: index for index, label in enumerate(bundle.labels)},
        "problem_type": bundle.problem_type,
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
    shutil.copyfile(bundle_folder / TOKENIZER_FILE, folder / TOKENIZER_FILE)


def _quantised_outputs(graph: onnx.GraphProto) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    """Return the operands of quantised products, and of look-ups in quantised tables, by the tensor that each gives."""
    products, lookups = {}, {}
    for node in graph.node:
        if node.op_type == "MatMulInteger":
            operands = (node.input[0].removesuffix("_uint8"), node.input[1].removesuffix("_int8"))
            products[node.output[0].removesuffix("_int32")] = operands
        elif node.op_type == "Gather" and node.input[0].endswith("_int8"):
            lookups[node.output[0].removesuffix("_int8")] = (node.input[0].removesuffix("_int8"), node.input[1])
    return products, lookups


def _replace(graph: onnx.GraphProto, nodes: Nodes, restored: Mapping[str, Float32]) -> None:
    """Put `nodes` and the `restored` constants into `graph`, without whatever leads nowhere any more."""
    needed = {output.name for output in graph.output}
    kept: Nodes = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    constants += [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in restored.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _from_blocks(blocks: npt.NDArray[np.uint8], scales: Float32, rows: int) -> Float32:
    """Return float32 [columns, rows] of uint8 [columns, blocks, block] and a scale for each block."""
    columns, count, _ = blocks.shape
    weights = (blocks.astype(np.float32) - BLOCK_ZERO) * scales.reshape(columns, count, 1)
    return weights.reshape(columns, -1)[:, :rows]


def _stored(graph: onnx.GraphProto) -> Tensors:
    """Return the constants by every name they go by: the exporter keeps one of several identical tensors."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return stored


def _parameter_names(weights: dict[str, Float32]) -> set[str]:
    """Return what a BertForSequenceClassification with as many layers as `weights` tell has to have."""
    layers = range(max(_layers(weights), 1))
    parts = [f"bert.encoder.layer.{layer}.{part}" for layer in layers for part in LAYER_PARTS]
    modules = ["bert.embeddings.LayerNorm", "bert.pooler.dense", "classifier", *parts]
    return {WORDS, POSITIONS, SEGMENTS} | {f"{each}.{kind}" for each in modules for kind in ("weight", "bias")}


def _layers(weights: dict[str, Float32]) -> int:
    return len([name for name in weights if name.endswith("attention.self.query.weight")])


def _used_by(node: onnx.NodeProto, stored: Tensors) -> dict[str, Float32]:
    """Return the weight and the bias, or either, that `node` computes with."""
    constants = [stored.get(name) for name in node.input]
    match node.op_type, constants:
        case (("LayerNormalization" | "Gemm"), [_, weight, bias]) if weight is not None and bias is not None:
            return {"weight": weight, "bias": bias}
        case "Add", ([bias, None] | [None, bias]) if bias is not None and bias.ndim == 1:
            return {"bias": bias}
        case "MatMul", [_, weight] if weight is not None:
            return {"weight": weight.T}
    return {}


def _module(tensor: str) -> str:
    """Return the name of the module whose output, or part of it, is `tensor`."""
    return "classifier" if tensor == "logits" else tensor.lstrip("/").rpartition("/")[0].replace("/", ".")


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next(helper.get_attribute_value(each) for each in node.attribute if each.name == name)
