from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.bundle.check_prompts import check_prompts, tokenize_prompts
from export.bundle.checkpoints import load_tokenizer
from export.bundle.fusion import fuse_attention
from export.bundle.onnx_export import export_graph
from export.classifier.inference import logits_in_buckets, open_session


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture(scope="module")
def fused(built_bundle: Path) -> onnx.ModelProto:
    model = onnx.load(built_bundle / "model.onnx")
    assert fuse_attention(model) == 2
    return model


def test_every_layer_becomes_one_attention_and_two_rotations(fused: onnx.ModelProto) -> None:
    found = operators(fused)

    assert (found["MultiHeadAttention"], found["RotaryEmbedding"]) == (2, 4)
    assert (found["Softmax"], found["Neg"], found["Sqrt"]) == (0, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_scores_stay_the_same_across_global_and_local_layers_and_padding(
    fused: onnx.ModelProto, built_bundle: Path, batch_size: int, tmp_path: Path
) -> None:
    onnx.save(fused, tmp_path / "model.onnx")
    prompts = tokenize_prompts(load_tokenizer(built_bundle), check_prompts(), [64, 256])

    before, after = (
        logits_in_buckets(open_session(file), prompts.ids, prompts.buckets, batch_size)
        for file in (built_bundle / "model.onnx", tmp_path / "model.onnx")
    )

    assert np.abs(after - before).max() < 1e-5


def test_bert_is_fused_too_and_scores_the_same(bert: Path, tmp_path: Path) -> None:
    export_graph(bert, tmp_path / "plain.onnx")
    model = onnx.load(tmp_path / "plain.onnx")
    prompts = tokenize_prompts(load_tokenizer(bert), check_prompts(), [64, 128])

    layers = fuse_attention(model)

    onnx.save(model, tmp_path / "fused.onnx")
    before, after = (
        logits_in_buckets(open_session(tmp_path / name), prompts.ids, prompts.buckets, batch_size=8)
        for name in ("plain.onnx", "fused.onnx")
    )
    assert layers == operators(model)["MultiHeadAttention"] == 2
    assert operators(model)["Softmax"] == 0
    assert np.abs(after - before).max() < 1e-5


def test_a_graph_wired_another_way_stays_as_it_is() -> None:
    graph = onnx.parser.parse_graph(
        "attention (float[B, L] scores, float[L, H] values) => (float[B, H] mixed)"
        "{ shares = Softmax(scores) mixed = MatMul(shares, values) }"
    )
    model = onnx.helper.make_model(graph)
    before = model.SerializeToString()

    assert fuse_attention(model) == 0
    assert model.SerializeToString() == before
