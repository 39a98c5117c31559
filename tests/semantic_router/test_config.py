"""The shipped config.pbtxt files, parsed as Triton does, keep clear of what makes its batcher stall or starve."""

import pytest
from google.protobuf import text_format  # type: ignore[import-untyped] # ships no types
from tritonclient.grpc import model_config_pb2

from tests.conftest import CHECKOUT

MODELS = sorted(file.parent.name for file in (CHECKOUT / "model_repository").glob("*/config.pbtxt"))


def config_of(model: str, name: str = "config.pbtxt") -> model_config_pb2.ModelConfig:
    file = CHECKOUT / "model_repository" / model / name
    return text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("model", MODELS)
def test_no_queue_has_a_timeout(model: str) -> None:
    """With one, Triton loses count of its idle instances: triton-inference-server/server#8870."""
    assert config_of(model).dynamic_batching.default_queue_policy.default_timeout_microseconds == 0


def test_the_router_rejects_beyond_a_bound_and_never_has_a_single_instance() -> None:
    config = config_of("semantic_router")

    assert config.dynamic_batching.default_queue_policy.max_queue_size == 256
    assert config.instance_group[0].count == 2


@pytest.mark.parametrize("model", [model for model in MODELS if model != "semantic_router"])
def test_a_classifier_batches_freely(model: str) -> None:
    config = config_of(model)

    assert config.HasField("dynamic_batching")
    assert not config.dynamic_batching.HasField("default_queue_policy")


@pytest.mark.parametrize("model", MODELS)
def test_the_configuration_for_gpus_takes_and_gives_the_same(model: str) -> None:
    usual, gpu = config_of(model), config_of(model, "configs/gpu.pbtxt")

    assert (gpu.name, gpu.backend) == (usual.name, usual.backend)
    assert list(gpu.input) == list(usual.input)
    assert list(gpu.output) == list(usual.output)
    assert gpu.version_policy == usual.version_policy


@pytest.mark.parametrize("model", [model for model in MODELS if model != "semantic_router"])
def test_for_gpus_a_classifier_computes_in_fp16_on_the_card(model: str) -> None:
    config = config_of(model, "configs/gpu.pbtxt")

    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert set(config.cc_model_filenames.values()) == {"model_fp16.onnx"}
