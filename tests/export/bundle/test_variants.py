from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer

from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.check_prompts import check_prompts, tokenize_prompts
from export.bundle.checkpoints import load_tokenizer, locate_checkpoint
from export.bundle.quantisation import Int8Method, quantise_blocks, quantise_columns, quantise_rows
from export.bundle.variants import GATES, Change, Gate, Precision, require_gate, score_change, write_variant
from export.classifier.inference import logits_in_buckets, open_session
from export.errors import GateFailed
from tests.stand_ins.checkpoints import LABELS, make_modernbert, save_checkpoint, train_tokenizer


@pytest.fixture(scope="module")
def unquantisable(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a classifier huge weights on a channel that is always zero: harmless in floating point, fatal in int8."""
    model = make_modernbert(LABELS)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp_norm.weight[0] = 0
            layer.mlp.Wi.weight[:, 0] = 1e4
        model.model.final_norm.weight[0] = 0
        model.head.dense.weight[:, 0] = 1e4
    return save_checkpoint(model, tokenizer, tmp_path_factory.mktemp("unquantisable"))


def write_outlier_graph(file: Path, vocabulary: int) -> None:
    """Write a classifier by the first word's embedding, whose first feature is huge; the first block has no effect."""
    generator = np.random.default_rng(0)
    gain, weight = np.ones(256), generator.normal(size=(256, 2)) / 10
    gain[0], weight[:128] = 1000, 0
    table = generator.normal(size=(vocabulary, 256))
    graph = onnx.parser.parse_graph(
        "classifier (int64[B, L] input_ids, int64[B, L] attention_mask) => (float[B, 2] logits) {"
        " embedded = Gather(table, input_ids) word = Gather<axis=1>(embedded, first)"
        " scaled = Mul(word, gain) logits = MatMul(scaled, weight) }"
    )
    for name, values in (("table", table), ("gain", gain), ("weight", weight)):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    graph.initializer.append(numpy_helper.from_array(np.array(1), "first"))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, file)


def test_a_variant_that_judges_differently_is_refused_with_the_reason(unquantisable: Path, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match=r"the int8 variant is refused: .* is .*, the bound is") as caught:
        build_bundle(locate_checkpoint(str(unquantisable)), tmp_path / "int8", BundleOptions(precision="int8"))

    assert caught.value.precision == "int8"
    assert not (tmp_path / "int8").exists()


def test_the_same_classifier_passes_in_floating_point(unquantisable: Path, tmp_path: Path) -> None:
    bundle = build_bundle(locate_checkpoint(str(unquantisable)), tmp_path, BundleOptions(precision="fp32"))

    assert bundle.figures["variant"]["agreement"] == 1.0


def test_int8_stores_every_matrix_and_table_in_one_byte_a_weight(built_bundle: Path, tmp_path: Path) -> None:
    prompts = tokenize_prompts(load_tokenizer(built_bundle), check_prompts(), [256])

    source, variant = built_bundle / "model.onnx", tmp_path / "model.onnx"
    write_variant(source, variant, "int8", prompts, problem_type="single_label_classification")

    model = onnx.load(tmp_path / "model.onnx")
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= 4096]
    assert {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in large} == {"INT8"}
    assert {node.op_type for node in model.graph.node} >= {"DynamicQuantizeLinear", "MatMulInteger"}


def test_blocks_keep_eight_bits_around_their_zero_and_are_padded() -> None:
    blocks, scales = quantise_blocks(np.array([[127, 0], [-254, 1], [2, 0]], dtype=np.float32))

    assert blocks.shape == (2, 1, 128)
    assert blocks[:, 0, :4].tolist() == [[192, 1, 129, 128], [128, 255, 128, 128]]
    assert scales.tolist() == pytest.approx([2, 1 / 127])


def test_int8_goes_on_to_blocks_where_one_scale_for_all_activations_is_too_coarse(tmp_path: Path) -> None:
    tokenizer = train_tokenizer()
    prompts = tokenize_prompts(tokenizer, check_prompts(), [256])
    write_outlier_graph(tmp_path / "fp32.onnx", tokenizer.get_vocab_size())

    change = write_variant(
        tmp_path / "fp32.onnx", tmp_path / "int8.onnx", "int8", prompts, problem_type="single_label_classification"
    )

    session = open_session(tmp_path / "int8.onnx")
    batched, alone = (logits_in_buckets(session, prompts.ids, [256], batch_size=size) for size in (8, 1))
    assert change.method == Int8Method(per_token=True, blockwise_share=2 / 3)  # of one matrix: rounded, all
    assert np.abs(batched - alone).max() < 1e-5


def write_loud_token_graph(file: Path, vocabulary: int) -> None:
    """Write a classifier by the mean word, where the embedding of each text's first token is a thousand times the rest.

    Its part is taken out again after the matrix, so that only its scale can disturb the others.
    """
    generator = np.random.default_rng(0)
    graph = onnx.parser.parse_graph(
        "classifier (int64[B, L] input_ids, int64[B, L] attention_mask) => (float[B, 2] logits) {"
        " embedded = Gather(table, input_ids) mixed = MatMul(embedded, weight)"
        " words = Slice(mixed, one, end, one) logits = ReduceMean<keepdims=0>(words, one) }"
    )
    table = generator.normal(size=(vocabulary, 64))
    table[2] *= 1000  # [CLS]
    for name, values in (("table", table), ("weight", generator.normal(size=(64, 2)))):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    for name, value in (("one", 1), ("end", 1 << 30)):
        graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), file)


def test_int8_gives_every_token_a_scale_of_its_own_where_one_is_loud(tmp_path: Path) -> None:
    tokenizer = train_tokenizer()
    prompts = tokenize_prompts(tokenizer, check_prompts(), [256])
    write_loud_token_graph(tmp_path / "fp32.onnx", tokenizer.get_vocab_size())

    change = write_variant(
        tmp_path / "fp32.onnx", tmp_path / "int8.onnx", "int8", prompts, problem_type="single_label_classification"
    )

    assert change.method == Int8Method(per_token=True)


def test_columns_keep_seven_bits_and_rows_eight() -> None:
    columns, column_scales = quantise_columns(np.array([[63, -126], [21, 42], [-7, 0]], dtype=np.float32))
    rows, row_scales = quantise_rows(np.array([[127, -1], [254, 20]], dtype=np.float32))

    assert columns.tolist() == [[63, -63], [21, 21], [-7, 0]]
    assert column_scales.tolist() == [1, 2]
    assert rows.tolist() == [[127, -1], [127, 10]]
    assert row_scales.tolist() == [[1], [2]]


def test_a_column_of_zeros_stays_zero() -> None:
    quantised, scales = quantise_columns(np.zeros((3, 2), dtype=np.float32))

    assert quantised.tolist() == [[0, 0]] * 3
    assert np.isfinite(scales).all()


def test_score_change_counts_label_flips_and_finds_the_largest_move() -> None:
    reference = np.log(np.array([[0.9, 0.1], [0.6, 0.4]], dtype=np.float32))
    variant = np.log(np.array([[0.8, 0.2], [0.4, 0.6]], dtype=np.float32))

    change = score_change(reference, [reference, variant], "single_label_classification")

    assert change.prompts == 2
    assert change.agreement == 0.75
    assert change.largest_score_change == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(
    ("agreement", "largest_score_change", "metric"),
    [
        pytest.param(0.9, 0.01, "share of prompts with the same top label", id="labels flip"),
        pytest.param(1.0, 0.5, "largest change of a score", id="scores move"),
        pytest.param(1.0, float("inf"), "largest change of a score", id="not a number"),
    ],
)
def test_the_gate_names_what_it_refuses(agreement: float, largest_score_change: float, metric: str) -> None:
    change = Change(prompts=100, agreement=agreement, largest_score_change=largest_score_change)

    with pytest.raises(GateFailed, match=metric):
        require_gate("int8", change, Gate(min_agreement=0.97, max_score_change=0.1))


def test_scores_of_a_multi_label_classifier_move_one_by_one() -> None:
    change = score_change(np.array([[0.0, 4.0]]), [np.array([[0.0, 0.0]])], "multi_label_classification")

    assert change.largest_score_change == pytest.approx(1 / (1 + np.exp(-4)) - 0.5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_has_a_gate_that_an_unchanged_graph_passes(precision: Precision) -> None:
    require_gate(precision, Change(prompts=1, agreement=1.0, largest_score_change=0.0), GATES[precision])
