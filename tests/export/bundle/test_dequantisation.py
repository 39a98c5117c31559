from pathlib import Path

import onnx
import pytest
import torch
from numpy.testing import assert_allclose

from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint, read_classifier_config
from export.bundle.dequantisation import read_weights, write_checkpoint
from export.bundle.fusion import fuse_attention
from export.bundle.onnx_export import export_graph
from export.bundle.quantisation import Int8Method, quantise_graph
from export.bundle.variants import Precision
from export.classifier.third_party import quiet_libraries
from export.errors import CheckpointUnsupported
from routing_policy.bundle import read_bundle


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    with quiet_libraries():
        from transformers import AutoModelForSequenceClassification

    return dict(AutoModelForSequenceClassification.from_pretrained(checkpoint).state_dict())


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 0.0), ("int8", 2e-2)])
def test_a_bundle_gives_its_weights_back(precision: Precision, tolerance: float, bert: Path, tmp_path: Path) -> None:
    build_bundle(locate_checkpoint(str(bert)), tmp_path / "bundle", BundleOptions(precision=precision))

    write_checkpoint(tmp_path / "bundle", read_bundle(tmp_path / "bundle"), tmp_path / "back")

    before, after = weights_of(bert), weights_of(tmp_path / "back")
    assert before.keys() == after.keys()
    for name, weight in before.items():
        largest = float(weight.abs().max())
        assert_allclose(after[name], weight, atol=tolerance * largest, err_msg=name)
    assert read_classifier_config(tmp_path / "back").labels == read_classifier_config(bert).labels


def test_weights_in_blocks_come_back_as_well(bert: Path, tmp_path: Path) -> None:
    export_graph(bert, tmp_path / "fp32.onnx")
    model = onnx.load(tmp_path / "fp32.onnx")
    fuse_attention(model)
    quantise_graph(model, Int8Method(per_token=True, blockwise_share=1 / 2))
    onnx.save(model, tmp_path / "int8.onnx")

    weights = read_weights(tmp_path / "int8.onnx")

    for name, weight in weights_of(bert).items():
        assert_allclose(weights[name], weight, atol=2e-2 * float(weight.abs().max()), err_msg=name)


def test_a_graph_of_another_family_is_refused(bundle: Path) -> None:
    with pytest.raises(CheckpointUnsupported, match=r"is no int8 or fp32 graph of a BERT: it has no bert\.embeddings"):
        read_weights(bundle / "model.onnx")
