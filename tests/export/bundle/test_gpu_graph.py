"""The fp16 copy of an int8 graph: same decisions, named in config.pbtxt, made again for each bundle installed there."""

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from export.bundle import gpu_graph
from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint
from export.bundle.dequantisation import dequantise_graph
from export.bundle.gpu_graph import GPU_FILE
from export.bundle.install_commands import bundle as bundle_command
from export.bundle.quantisation import Int8Method, quantise_graph
from export.bundle.variants import Gate
from export.classifier.inference import open_session, run_logits
from export.errors import GateFailed
from export.repository.serving_copy import refresh_serving_copy
from export.repository.triton_config import CAPABILITIES, parse_config
from tests.conftest import CHECKOUT

NAME = "reasoning_classifier"


@pytest.fixture(scope="module")
def int8_bundle(tmp_path_factory: pytest.TempPathFactory, modernbert: Path) -> Path:
    directory = tmp_path_factory.mktemp("int8")
    build_bundle(locate_checkpoint(str(modernbert)), directory, BundleOptions(precision="int8"))
    return directory


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, int8_bundle: Path) -> Path:
    """Make a repository with one small int8 bundle right for GPUs."""
    repository = tmp_path_factory.mktemp("gpu") / "model_repository"
    refresh_serving_copy(CHECKOUT / "model_repository", repository)
    shutil.rmtree(repository / "topic_classifier")
    for version in (repository / NAME).glob("[0-9]*"):
        shutil.rmtree(version)
    shutil.copytree(int8_bundle, repository / NAME / "1")
    result = CliRunner().invoke(bundle_command, ["gpu", str(repository)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{repository / NAME / '1' / GPU_FILE}: largest change of a score 0.")
    return repository


def test_the_copy_computes_in_fp16_without_what_a_gpu_lacks(repository: Path) -> None:
    graph = onnx.load(repository / NAME / "1" / GPU_FILE).graph

    matrices = [tensor for tensor in graph.initializer if len(tensor.dims) == 2]
    assert {tensor.data_type for tensor in matrices} == {onnx.TensorProto.FLOAT16}
    assert not {"DynamicQuantizeLinear", "MatMulInteger", "MatMulNBits"} & {node.op_type for node in graph.node}


def test_config_names_it_for_every_gpu_that_computes_in_fp16_and_for_no_processor(repository: Path) -> None:
    config = parse_config((repository / NAME / "config.pbtxt").read_text())

    assert dict(config.cc_model_filenames) == dict.fromkeys(CAPABILITIES, GPU_FILE)
    assert config.default_model_filename == ""


def test_a_second_run_changes_nothing(repository: Path) -> None:
    before = {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()}

    result = CliRunner().invoke(bundle_command, ["gpu", str(repository)])

    assert result.exit_code == 0, result.output
    assert {file: file.read_bytes() for file in repository.rglob("*") if file.is_file()} == before


def test_a_bundle_installed_there_gets_a_copy_of_its_own(repository: Path, int8_bundle: Path) -> None:
    result = CliRunner().invoke(bundle_command, ["install", str(int8_bundle), "--repository", str(repository)])

    assert result.exit_code == 0, result.output
    assert (repository / NAME / "2" / GPU_FILE).is_file()


@pytest.mark.parametrize(
    "method",
    [
        Int8Method(),
        Int8Method(per_token=True),
        Int8Method(per_token=True, blockwise_share=0.5),
        Int8Method(blockwise_share=1.0),
    ],
    ids=["columns", "per token", "half in blocks", "blocks"],
)
def test_quantising_is_undone_whatever_the_method(method: Int8Method, modernbert: Path, tmp_path: Path) -> None:
    build_bundle(locate_checkpoint(str(modernbert)), tmp_path / "exact", BundleOptions(precision="fp32"))
    model = onnx.load(tmp_path / "exact" / "model.onnx")
    quantise_graph(model, method)

    dequantise_graph(model)

    onnx.save(model, tmp_path / "restored.onnx")
    tokens = [[2, 5, 9, 3], [7, 1]]
    exact = run_logits(open_session(tmp_path / "exact" / "model.onnx"), tokens, 4)
    restored = run_logits(open_session(tmp_path / "restored.onnx"), tokens, 4)
    assert np.abs(exact - restored).max() < 0.02


def test_a_copy_that_judges_otherwise_is_not_kept(
    int8_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = shutil.copytree(int8_bundle, tmp_path / "bundle")
    monkeypatch.setattr(gpu_graph, "AGAINST_INT8", Gate(min_agreement=1.0, max_score_change=0.0))

    with pytest.raises(GateFailed, match="largest change of a score"):
        gpu_graph.write_gpu_graph(bundle)

    assert sorted(file.name for file in bundle.iterdir()) == ["bundle.json", "model.onnx", "tokenizer.json"]


@pytest.mark.parametrize(
    ("kind", "capability", "file"),
    [("CPU", "8.0", "model.onnx"), ("GPU", "8.0", GPU_FILE), ("GPU", "6.1", "model.onnx")],
)
def test_the_python_backend_takes_the_file_that_the_c_backend_would(
    kind: str, capability: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only tritonserver has this module, and only a machine with a GPU the capability.
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", ModuleType("triton_python_backend_utils"))
    backend = importlib.import_module("local.backends.onnxruntime.model")
    monkeypatch.setattr(backend, "_compute_capability", lambda _device: capability)
    config = {"default_model_filename": "", "cc_model_filenames": {"8.0": GPU_FILE}}

    assert backend._file_name({"model_instance_kind": kind, "model_instance_device_id": "0"}, config) == file
