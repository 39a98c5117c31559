"""Fuse attention into ONNX Runtime's MultiHeadAttention and, for ModernBERT, RotaryEmbedding, before it turns int8.

ONNX Runtime ships no rule for ModernBERT, and those for BERT and its kin stop where matrices are quantised. Graphs of
other families stay as they are. Needs ONNX Runtime 1.21: 1.20 scores padded rows wrongly.
Operators: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper

DOMAIN = "com.microsoft"
_FIRST_POSITION = "fused_first_position"
_LEADING_AXES = "fused_leading_axes"


class RotaryAttention(msgspec.Struct, frozen=True, kw_only=True):
    """The tensors of one attention layer of ModernBERT, by name."""

    projected: str  # [batch, length, 3 x hidden]: queries, keys and values side by side
    cosine: str  # [1, 1, length, head size], its two halves alike
    sine: str
    mask: str  # [batch, 1, length, length], added before the softmax
    result: str  # [batch, length, hidden]
    heads: int


class PlainAttention(msgspec.Struct, frozen=True, kw_only=True):
    """The tensors of one attention layer of BERT, by name."""

    query: str  # [batch, length, hidden], as are key and value
    key: str
    value: str
    mask: str  # [batch, 1, length, length], added before the softmax
    result: str  # [batch, length, hidden]
    heads: int


class _Wiring:
    """Who makes a tensor and who uses it; LookupError where the graph is wired another way than asked."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers: dict[str, onnx.NodeProto] = {output: node for node in graph.node for output in node.output}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for tensor in node.input:
                self._users.setdefault(tensor, []).append(node)

    def users(self, tensor: str) -> list[onnx.NodeProto]:
        return self._users.get(tensor, [])

    def back(self, tensor: str, *operators: str) -> onnx.NodeProto:
        """Follow first inputs from `tensor` through nodes of these operators and return the last one."""
        for operator in operators[:-1]:
            tensor = self._maker(tensor, operator).input[0]
        return self._maker(tensor, operators[-1])

    def onward(self, tensor: str, *operators: str) -> onnx.NodeProto:
        """Follow only users from `tensor` through nodes of these operators and return the last one."""
        for operator in operators[:-1]:
            tensor = self._only_user(tensor, operator).output[0]
        return self._only_user(tensor, operators[-1])

    def constant(self, tensor: str) -> int:
        return int(numpy_helper.to_array(self._maker(tensor, "Constant").attribute[0].t).item())

    def _maker(self, tensor: str, operator: str) -> onnx.NodeProto:
        node = self._makers.get(tensor)
        if node is None or node.op_type != operator:
            raise LookupError(tensor)
        return node

    def _only_user(self, tensor: str, operator: str) -> onnx.NodeProto:
        match self.users(tensor):
            case [user] if user.op_type == operator:
                return user
        raise LookupError(tensor)


def fuse_attention(model: onnx.ModelProto) -> int:
    """Fuse every layer of `model` that is wired as in ModernBERT or BERT, in place; return how many there were."""
    wiring = _Wiring(model.graph)
    fused: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "Softmax":
            fused |= _fused_layer(wiring, node)
    if fused:
        _rewrite(model.graph, fused | _halved_projections(model.graph, wiring))
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return len(fused)


def _fused_layer(wiring: _Wiring, softmax: onnx.NodeProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes for the layer around `softmax` by the result they give; nothing for another family."""
    rotary = _rotary_attention(wiring, softmax)
    if rotary is not None:
        return {rotary.result: _rotary_nodes(rotary)}
    plain = _plain_attention(wiring, softmax)
    return {} if plain is None else {plain.result: _plain_nodes(plain)}


def _rotary_attention(wiring: _Wiring, softmax: onnx.NodeProto) -> RotaryAttention | None:
    try:
        masked = wiring.back(softmax.input[0], "Add")
        rotated = wiring.back(masked.input[0], "MatMul", "Mul", "Add")
        plain, turned = (wiring.back(tensor, "Mul") for tensor in rotated.input)
        reshape = wiring.back(plain.input[0], "Squeeze", "Split", "Transpose", "Reshape")
        _, _, _, heads, _ = wiring.back(reshape.input[1], "Concat").input  # batch, length, three, heads, head size
        return RotaryAttention(
            projected=reshape.input[0],
            cosine=plain.input[1],
            sine=turned.input[1],
            mask=masked.input[1],
            result=wiring.onward(softmax.output[0], "MatMul", "Transpose", "Reshape").output[0],
            heads=wiring.constant(heads),
        )
    except (LookupError, ValueError):
        return None


def _plain_attention(wiring: _Wiring, softmax: onnx.NodeProto) -> PlainAttention | None:
    try:
        masked = wiring.back(softmax.input[0], "Add")
        product = wiring.back(masked.input[0], "MatMul")
        query, key = (wiring.back(tensor, "Mul", "Transpose", "Reshape") for tensor in product.input)
        mixed = wiring.onward(softmax.output[0], "MatMul")
        _, _, heads, _ = wiring.back(query.input[1], "Concat").input  # batch, length, heads, head size
        return PlainAttention(
            query=query.input[0],
            key=key.input[0],
            value=wiring.back(mixed.input[1], "Transpose", "Reshape").input[0],
            mask=masked.input[1],
            result=wiring.onward(mixed.output[0], "Transpose", "Reshape").output[0],
            heads=wiring.constant(heads),
        )
    except (LookupError, ValueError):
        return None


def _rotary_nodes(layer: RotaryAttention) -> list[onnx.NodeProto]:
    name = layer.result
    query, key, value = (f"{name}_{part}" for part in ("query", "key", "value"))
    cosine, sine = f"{name}_cosine", f"{name}_sine"
    return [
        helper.make_node("Split", [layer.projected], [query, key, value], axis=-1, num_outputs=3),
        *_half_table(layer.cosine, cosine),
        *_half_table(layer.sine, sine),
        *(
            helper.make_node(
                "RotaryEmbedding",
                [tensor, _FIRST_POSITION, cosine, sine],
                [f"{tensor}_turned"],
                domain=DOMAIN,
                num_heads=layer.heads,
            )
            for tensor in (query, key)
        ),
        helper.make_node(
            "MultiHeadAttention",
            [f"{query}_turned", f"{key}_turned", value, "", "", layer.mask],
            [name],
            domain=DOMAIN,
            num_heads=layer.heads,
        ),
    ]


def _plain_nodes(layer: PlainAttention) -> list[onnx.NodeProto]:
    inputs = [layer.query, layer.key, layer.value, "", "", layer.mask]
    return [helper.make_node("MultiHeadAttention", inputs, [layer.result], domain=DOMAIN, num_heads=layer.heads)]


def _half_table(table: str, half: str) -> list[onnx.NodeProto]:
    """Turn [1, 1, length, head size] into [length, half of it], which RotaryEmbedding wants."""
    return [
        helper.make_node("Squeeze", [table, _LEADING_AXES], [f"{half}_table"]),
        helper.make_node("Split", [f"{half}_table"], [half, f"{half}_again"], axis=-1, num_outputs=2),
    ]


def _halved_projections(graph: onnx.GraphProto, wiring: _Wiring) -> dict[str, list[onnx.NodeProto]]:
    """Return a Split for every projection that is cut in two by slices whose borders are computed each time."""
    halved: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        users = wiring.users(node.output[0]) if node.op_type == "MatMul" else []
        if sorted(user.op_type for user in users) == ["Shape", "Slice", "Slice"]:
            first, second = (user for user in users if user.op_type == "Slice")
            halves = [first.output[0], second.output[0]]
            split = helper.make_node("Split", [node.output[0]], halves, axis=-1, num_outputs=2)
            halved |= {halves[0]: [split], halves[1]: []}
    return halved


def _rewrite(graph: onnx.GraphProto, replacements: dict[str, list[onnx.NodeProto]]) -> None:
    """Put the replacements where their results were made, and drop what nothing needs any more."""
    nodes = [part for node in graph.node for part in replacements.get(node.output[0], [node])]
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, dtype=np.int64), _FIRST_POSITION))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 1]), _LEADING_AXES))
