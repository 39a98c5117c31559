"""Rewrite an fp32 graph to int8: matrices per column, with activations quantised as they come; embeddings per row.

Where that is too coarse, each token's activations get a scale of their own, so that outliers of one cost the others
nothing, at a fifth more time. Where that is too, the first matrices are quantised in blocks, activations as well, which
takes up to twice the time: MatMulNBits, in 8 bits from ONNX Runtime 1.22 (github.com/microsoft/onnxruntime:
docs/ContribOperators.md).
"""

from collections.abc import Iterable, Mapping

import msgspec
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
LEAST_PEAK = 1e-6  # of a token's activations: a row of zeros is divided by it
_LEAST_PEAK, _LAST_AXIS = "quantise_least_peak", "quantise_last_axis"

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]


class Int8Method(msgspec.Struct, frozen=True, kw_only=True):
    """How finely activations, and the first matrices where an error has the longest way to grow, are quantised."""

    per_token: bool = False
    blockwise_share: float = 0.0  # of the matrices


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


def quantise_graph(model: onnx.ModelProto, method: Int8Method) -> None:
    """Rewrite every MatMul with a constant matrix and every Gather from a float table, in place."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer if _is_matrix(tensor)}
    multiplied = list(dict.fromkeys(node.input[1] for node in model.graph.node if _multiplies(node, weights)))
    blockwise = set(multiplied[: round(method.blockwise_share * len(multiplied))])
    rewritten: list[onnx.NodeProto] = []
    quantised_inputs: set[str] = set()
    replaced: dict[str, tuple[onnx.TensorProto, onnx.TensorProto]] = {}
    for node in model.graph.node:
        if _multiplies(node, weights) and node.input[1] in blockwise:
            replaced.setdefault(node.input[1], _block_tensors(weights[node.input[1]]))
            rewritten.append(_block_matmul(node, weights[node.input[1]]))
        elif _multiplies(node, weights):
            replaced.setdefault(node.input[1], _column_tensors(weights[node.input[1]]))
            if node.input[0] not in quantised_inputs:
                rewritten += _quantised_activation(node.input[0], per_token=method.per_token)
            rewritten += _integer_matmul(node, per_token=method.per_token)
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


def _quantised_activation(activation: str, *, per_token: bool) -> list[onnx.NodeProto]:
    """Return the nodes that make the uint8 copy, after dividing each token's row by its largest value if so asked."""
    quantised = [f"{activation}_uint8", f"{activation}_scale", f"{activation}_zero"]
    if not per_token:
        return [helper.make_node("DynamicQuantizeLinear", [activation], quantised, f"{activation}_quantise")]
    size, largest, peak, unit = (f"{activation}_{part}" for part in ("size", "largest", "peak", "unit"))
    return [
        helper.make_node("Abs", [activation], [size]),
        helper.make_node("ReduceMax", [size, _LAST_AXIS], [largest], keepdims=1),
        helper.make_node("Max", [largest, _LEAST_PEAK], [peak]),
        helper.make_node("Div", [activation, peak], [unit]),
        helper.make_node("DynamicQuantizeLinear", [unit], quantised, f"{activation}_quantise"),
    ]


def _integer_matmul(node: onnx.NodeProto, *, per_token: bool) -> list[onnx.NodeProto]:
    """Return the nodes ONNX Runtime fuses into its DynamicQuantizeMatMul or MatMulIntegerToFloat kernel."""
    activation, weight = node.input
    output, name = node.output[0], node.output[0]
    product = f"{name}_unit" if per_token else output
    return [
        helper.make_node(
            "MatMulInteger", [f"{activation}_uint8", f"{weight}_int8", f"{activation}_zero"], [f"{name}_int32"]
        ),
        helper.make_node("Cast", [f"{name}_int32"], [f"{name}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{activation}_scale", f"{weight}_scale"], [f"{name}_scales"]),
        helper.make_node("Mul", [f"{name}_cast", f"{name}_scales"], [product]),
        *([helper.make_node("Mul", [product, f"{activation}_peak"], [output])] if per_token else []),
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
    graph.initializer.append(numpy_helper.from_array(np.array([LEAST_PEAK], dtype=np.float32), _LEAST_PEAK))
    graph.initializer.append(numpy_helper.from_array(np.array([-1]), _LAST_AXIS))
    kept = [tensor for tensor in graph.initializer if tensor.name in still_used]
    kept += [tensor for pair in replaced.values() for tensor in pair]
    del graph.initializer[:]
    graph.initializer.extend(kept)
