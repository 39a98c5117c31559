"""Rewrite an fp32 graph to int8: matrices per column, with activations quantised as they come; embeddings per row.

Where that is too coarse, the first matrices are quantised in blocks instead, activations too, which takes up to twice
the time: MatMulNBits, in 8 bits from ONNX Runtime 1.22 (github.com/microsoft/onnxruntime: docs/ContribOperators.md).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# Seven bits, not eight: x86 without VNNI adds pairs of uint8 x int8 products in 16 bits, which eight would overflow,
# and a bundle must score the same on every CPU (onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
LARGEST = 63
BLOCK = 128  # weights of a column, and activations of a token, that share a scale
BLOCK_ZERO = 128  # what MatMulNBits takes for zero where a graph names no zero points
INT8_ACTIVATIONS = 4  # the operator's accuracy level
DOMAIN = "com.microsoft"

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]


def quantise_columns(weight: Float32) -> tuple[Int8, Float32]:
    """Return int8 [rows, columns] and one scale per column [columns]; weight is about their product."""
    return _quantise(weight, axis=0, largest=LARGEST)


def quantise_rows(table: Float32) -> tuple[Int8, Float32]:
    """Return int8 [rows, columns] and one scale per row [rows, 1]; rows are looked up, not multiplied: all 8 bits."""
    quantised, scales = _quantise(table, axis=1, largest=127)
    return quantised, scales.reshape(-1, 1)


def quantise_blocks(weight: Float32) -> tuple[UInt8, Float32]:
    """Return uint8 [columns, blocks, 128], where 128 is zero, and one scale per block; rows are padded to blocks."""
    rows, columns = weight.shape
    padded = np.pad(weight, ((0, -rows % BLOCK), (0, 0)))
    blocks = padded.T.reshape(columns, -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=-1, keepdims=True) / 127, np.finfo(np.float32).tiny)
    quantised = (np.rint(blocks / scales) + BLOCK_ZERO).astype(np.uint8)
    return quantised, scales.astype(np.float32).reshape(-1)


def quantise_graph(model: onnx.ModelProto, blockwise_share: float = 0.0) -> None:
    """Rewrite every MatMul with a constant matrix and every Gather from a float table, in place.

    The first `blockwise_share` of the matrices, where an error has the longest way to grow, are quantised in blocks.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer if _is_matrix(tensor)}
    multiplied = list(dict.fromkeys(node.input[1] for node in model.graph.node if _multiplies(node, weights)))
    blockwise = set(multiplied[: round(blockwise_share * len(multiplied))])
    rewritten: list[onnx.NodeProto] = []
    quantised_inputs: set[str] = set()
    replaced: dict[str, tuple[onnx.TensorProto, onnx.TensorProto]] = {}
    for node in model.graph.node:
        if _multiplies(node, weights) and node.input[1] in blockwise:
            replaced.setdefault(node.input[1], _block_tensors(weights[node.input[1]]))
            rewritten.append(_block_matmul(node, weights[node.input[1]]))
        elif _multiplies(node, weights):
            replaced.setdefault(node.input[1], _column_tensors(weights[node.input[1]]))
            rewritten += _dynamic_matmul(node, first_use=node.input[0] not in quantised_inputs)
            quantised_inputs.add(node.input[0])
        elif node.op_type == "Gather" and node.input[0] in weights:
            replaced.setdefault(node.input[0], _row_tensors(weights[node.input[0]]))
            rewritten += _scaled_gather(node)
        else:
            rewritten.append(node)
    _replace_nodes(model.graph, rewritten)
    _replace_initializers(model.graph, replaced)
    if blockwise and DOMAIN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _quantise(weight: Float32, axis: int, largest: int) -> tuple[Int8, Float32]:
    scales = np.maximum(np.abs(weight).max(axis=axis, keepdims=True) / largest, np.finfo(np.float32).tiny)
    quantised = np.clip(np.rint(weight / scales), -largest, largest).astype(np.int8)
    return quantised, scales.astype(np.float32).reshape(-1)


def _is_matrix(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2  # noqa: PLR2004 - a matrix has two axes


def _multiplies(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in weights


def _block_tensors(weight: onnx.TensorProto) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    return _named(weight.name, quantise_blocks(numpy_helper.to_array(weight)))


def _column_tensors(weight: onnx.TensorProto) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    return _named(weight.name, quantise_columns(numpy_helper.to_array(weight)))


def _row_tensors(table: onnx.TensorProto) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    return _named(table.name, quantise_rows(numpy_helper.to_array(table)))


def _named(name: str, pair: tuple[Int8 | UInt8, Float32]) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    quantised, scales = pair
    return numpy_helper.from_array(quantised, f"{name}_int8"), numpy_helper.from_array(scales, f"{name}_scale")


def _dynamic_matmul(node: onnx.NodeProto, *, first_use: bool) -> list[onnx.NodeProto]:
    """Return the nodes ONNX Runtime fuses into its DynamicQuantizeMatMul or MatMulIntegerToFloat kernel."""
    activation, weight = node.input
    output, name = node.output[0], node.output[0]
    quantise = helper.make_node(
        "DynamicQuantizeLinear",
        [activation],
        [f"{activation}_uint8", f"{activation}_scale", f"{activation}_zero"],
        f"{activation}_quantise",
    )
    return [
        *([quantise] if first_use else []),
        helper.make_node(
            "MatMulInteger", [f"{activation}_uint8", f"{weight}_int8", f"{activation}_zero"], [f"{name}_int32"]
        ),
        helper.make_node("Cast", [f"{name}_int32"], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{activation}_scale", f"{weight}_scale"], [f"{name}_scales"]),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_scales"], [output]),
    ]


def _block_matmul(node: onnx.NodeProto, weight: onnx.TensorProto) -> onnx.NodeProto:
    rows, columns = weight.dims
    return helper.make_node(
        "MatMulNBits",
        [node.input[0], f"{weight.name}_int8", f"{weight.name}_scale"],
        [node.output[0]],
        domain=DOMAIN,
        K=rows,
        N=columns,
        bits=8,
        block_size=BLOCK,
        accuracy_level=INT8_ACTIVATIONS,
    )


def _scaled_gather(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    table, ids = node.input
    name = node.output[0]
    return [
        helper.make_node("Gather", [f"{table}_int8", ids], [f"{name}_int8"]),
        helper.make_node("Gather", [f"{table}_scale", ids], [f"{name}_row_scale"]),
        helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_row_scale"], [name]),
    ]


def _replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)


def _replace_initializers(
    graph: onnx.GraphProto, replaced: dict[str, tuple[onnx.TensorProto, onnx.TensorProto]]
) -> None:
    still_used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in still_used]
    kept += [tensor for pair in replaced.values() for tensor in pair]
    del graph.initializer[:]
    graph.initializer.extend(kept)
