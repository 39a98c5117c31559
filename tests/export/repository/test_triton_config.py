from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format  # type: ignore[import-untyped]  # ships no types

from export.classifier.inference import open_session
from export.repository.triton_config import classifier_config, longest_warmup, mismatch, parse_config, warmup_mask
from routing_policy.bundle import Bundle, read_bundle
from tests.conftest import CHECKOUT


@pytest.fixture
def described(built_bundle: Path) -> Bundle:
    return read_bundle(built_bundle)


@pytest.fixture(scope="module")
def session(built_bundle: Path) -> Any:
    return open_session(built_bundle / "model.onnx")


def test_a_written_configuration_serves_two_versions_in_batches(described: Bundle) -> None:
    config = parse_config(classifier_config("topics", described))

    assert config.name == "topics"
    assert config.version_policy.latest.num_versions == 2
    assert config.max_batch_size == 32
    assert config.HasField("dynamic_batching")
    assert not config.dynamic_batching.HasField("default_queue_policy")
    assert [group.count for group in config.instance_group] == [2]
    assert not any(group.kind for group in config.instance_group)


def test_every_bucket_is_warmed_up_with_nothing_masked(described: Bundle) -> None:
    config = parse_config(classifier_config("topics", described))

    masks = [sample.inputs["attention_mask"] for sample in config.model_warmup]
    assert [list(mask.dims) for mask in masks] == [[32], [64], [128], [256]]
    assert {mask.input_data_file for mask in masks} == {"ones"}
    assert longest_warmup(config) == 256
    assert np.frombuffer(warmup_mask(described), dtype=np.int64).tolist() == [1] * 256


@pytest.mark.parametrize("name", ["reasoning_classifier", "topic_classifier"])
def test_the_shipped_configuration_is_the_one_install_would_write(name: str) -> None:
    shipped = CHECKOUT / "model_repository" / name
    bundle = read_bundle(shipped / "3")

    assert parse_config((shipped / "config.pbtxt").read_text()) == parse_config(classifier_config(name, bundle))
    assert (shipped / "warmup" / "ones").read_bytes() == warmup_mask(bundle)


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(text_format.ParseError, match="model_speed"):
        parse_config('name: "a"\nmodel_speed: 3\n')


def test_a_graph_fits_the_configuration_written_for_it(described: Bundle, session: Any) -> None:
    assert mismatch(parse_config(classifier_config("topics", described)), session) is None


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        pytest.param('name: "input_ids"', 'name: "tokens"', "inputs: expected ['attention_mask', 'tokens']", id="name"),
        pytest.param("TYPE_FP32", "TYPE_FP16", "output logits: expected tensor(float16)", id="type"),
        pytest.param("dims: [ 2 ]", "dims: [ 4 ]", "output logits: expected shape [-1, 4]", id="labels"),
        pytest.param(
            "TYPE_INT64 dims: [ -1 ] }\n]", "TYPE_INT64 dims: [ -1, 1 ] }\n]", "expected shape [-1, -1, 1]", id="rank"
        ),
    ],
)
def test_what_the_server_would_refuse_is_found_before_it_does(
    before: str, after: str, reason: str, described: Bundle, session: Any
) -> None:
    content = classifier_config("topics", described)
    assert before in content

    found = mismatch(parse_config(content.replace(before, after)), session)

    assert found is not None
    assert reason in found
