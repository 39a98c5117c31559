import json
from pathlib import Path
from typing import Any

import pytest

from export.bundle.checkpoints import locate_checkpoint, read_classifier_config
from export.errors import CheckpointUnavailable, CheckpointUnsupported

BINARY = {"0": "non-reasoning", "1": "reasoning"}


def write_config(directory: Path, **content: Any) -> Path:
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", "id2label": BINARY, **content}))
    return directory


def test_labels_problem_type_and_length_come_from_the_checkpoint(tmp_path: Path) -> None:
    write_config(tmp_path, problem_type="multi_label_classification", max_position_embeddings=512)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 128}')

    config = read_classifier_config(tmp_path)

    assert config.architecture == "bert"
    assert config.labels == ["non-reasoning", "reasoning"]
    assert config.problem_type == "multi_label_classification"
    assert config.max_length == 128


def test_a_tokenizer_without_a_limit_leaves_the_model_to_decide(tmp_path: Path) -> None:
    write_config(tmp_path, max_position_embeddings=8192)
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')

    assert read_classifier_config(tmp_path).max_length == 8192


def test_labels_can_be_given_where_the_checkpoint_names_none(tmp_path: Path) -> None:
    write_config(tmp_path, id2label={"0": "LABEL_0", "1": "LABEL_1"})

    assert read_classifier_config(tmp_path, ["easy", "hard"]).labels == ["easy", "hard"]


@pytest.mark.parametrize(
    ("content", "labels", "message"),
    [
        pytest.param({"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}, None, "--labels", id="labels without names"),
        pytest.param({}, ["a", "b", "c"], "2 outputs, but 3 labels", id="label count"),
        pytest.param({"id2label": {"0": "score"}}, None, "two labels or more", id="one output"),
        pytest.param({"id2label": {"0": "a", "2": "b"}}, None, "keys 0 to 1", id="gap between labels"),
        pytest.param({"problem_type": "regression"}, None, "expected a classification", id="regression"),
    ],
)
def test_what_is_no_classifier_is_refused(
    content: dict[str, Any], labels: list[str] | None, message: str, tmp_path: Path
) -> None:
    write_config(tmp_path, **content)

    with pytest.raises(CheckpointUnsupported, match=message):
        read_classifier_config(tmp_path, labels)


@pytest.mark.parametrize("folder", ["./missing", "/missing", "a/b/c"])
def test_a_missing_folder_is_not_looked_up_on_the_hub(folder: str) -> None:
    with pytest.raises(CheckpointUnavailable, match="no such folder"):
        locate_checkpoint(folder)


def test_a_folder_without_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnavailable, match=r"config.json: No such file"):
        read_classifier_config(tmp_path)
