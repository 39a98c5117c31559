import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint
from export.classifier.inference import read_tokenizer
from export.classifier.third_party import quiet_libraries
from export.errors import CheckpointUnavailable, CheckpointUnsupported
from export.training.start import load_base, locate_base
from routing_policy.bundle import Bundle, read_bundle
from tests.export.test_commands import run_with_hub
from tests.export.training.training_runs import train, write_data
from tests.stand_ins.checkpoints import LABELS, save_checkpoint
from tests.stand_ins.hub import COMMIT, hub_with

TRAIN = "from export.training.command import train_command; train_command()"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "prompts.jsonl", hard="reasoning", easy="non-reasoning")


def logits(classifier: Any) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(classifier(input_ids=torch.tensor([[2, 9, 17, 3]])).logits)


@pytest.mark.parametrize("checkpoint", ["bert", "modernbert"])
def test_outputs_follow_the_order_of_the_labels(checkpoint: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(checkpoint)

    same, turned = (load_base(folder, labels, []) for labels in ([*LABELS.values()], [*reversed(LABELS.values())]))

    assert (same.has_labels, turned.has_labels) == (True, True)
    assert torch.allclose(logits(same.student.classifier).flip(-1), logits(turned.student.classifier))
    assert turned.student.classifier.config.id2label == {0: "reasoning", 1: "non-reasoning"}


def test_other_labels_are_not_the_same_task(modernbert: Path) -> None:
    base = load_base(modernbert, ["math", "code", "general"], [])

    assert not base.has_labels
    assert logits(base.student.classifier).shape == (1, 3)


def write_roberta(directory: Path) -> Path:
    """Write a random XLM-RoBERTa, whose special tokens have other names and whose padding is not piece 0."""
    with quiet_libraries():
        from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(pieces[:4])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    config = XLMRobertaConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        vocab_size=len(pieces),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=300,
        id2label=LABELS,
        label2id={label: index for index, label in LABELS.items()},
    )
    classifier = XLMRobertaForSequenceClassification(config)  # type: ignore[no-untyped-call]  # as above
    return save_checkpoint(classifier, tokenizer, directory)


def test_a_checkpoint_with_other_special_tokens_keeps_its_vocabulary(data: Path, tmp_path: Path) -> None:
    result = train(data, tmp_path / "out", "--base", write_roberta(tmp_path / "roberta"), "--epochs", 1)

    assert result.exit_code == 0, result.output
    assert read_tokenizer(tmp_path / "out" / "bundle" / "tokenizer.json").get_vocab_size() == 30


def test_a_hub_model_is_a_base(data: Path, modernbert: Path, tmp_path: Path) -> None:
    model, out = "someone/some-classifier", str(tmp_path / "out")
    arguments = ("--data", str(data), "--base", model, "--output", out, "--epochs", "1", "--precision", "fp32")

    with hub_with(model, modernbert) as endpoint:
        result = run_with_hub(endpoint, tmp_path, TRAIN, *arguments)

    assert result.returncode == 0, result.stderr
    assert read_bundle(tmp_path / "out" / "bundle").figures["training"]["base"] == {
        "checkpoint": model,
        "commit": COMMIT,
    }


def test_a_shipped_bundle_is_a_base(data: Path, bert: Path, tmp_path: Path) -> None:
    built = build_bundle(locate_checkpoint(str(bert)), tmp_path / "bundle", BundleOptions(precision="int8"))

    result = train(data, tmp_path / "out", "--base", tmp_path / "bundle", "--epochs", 1)

    assert result.exit_code == 0, result.output
    assert "Against the classifier it started from" in result.output
    figures = read_bundle(tmp_path / "out" / "bundle").figures["training"]
    assert figures["base"] == {"bundle": built.revision}


def leave_beside_a_checkpoint(bundle: Path, _reseal: Callable[..., Bundle]) -> None:
    (bundle.parent / "checkpoint").mkdir()
    (bundle.parent / "checkpoint" / "config.json").write_text("{}")


def come_from_the_hub(bundle: Path, reseal: Callable[..., Bundle]) -> None:
    reseal(bundle, source={"checkpoint": "someone/some-classifier", "commit": "0123"})


def come_from_a_folder(bundle: Path, reseal: Callable[..., Bundle]) -> None:
    reseal(bundle, source={"checkpoint": "checkpoint"})


def lose_its_description(bundle: Path, _reseal: Callable[..., Bundle]) -> None:
    (bundle / "bundle.json").unlink()


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        pytest.param(leave_beside_a_checkpoint, r"give .*/checkpoint, which `semrouter train` wrote", id="trained"),
        pytest.param(come_from_the_hub, r"give someone/some-classifier, the hub model that bundle.json", id="of a hub"),
        pytest.param(come_from_a_folder, r"give the checkpoint folder that `semrouter train` wrote, or", id="other"),
        pytest.param(lose_its_description, r"give the checkpoint folder that", id="the guide's files"),
    ],
)
def test_a_bundle_without_a_bert_is_no_base_and_what_is_one_is_named(
    arrange: Callable[..., None],
    message: str,
    bundle: Path,
    data: Path,
    reseal: Callable[..., Bundle],
    tmp_path: Path,
) -> None:
    arrange(bundle, reseal)

    result = train(data, tmp_path / "out", "--base", bundle)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {bundle}: holds an ONNX graph, which cannot be trained (")
    with pytest.raises(CheckpointUnavailable, match=message):
        locate_base(str(bundle), tmp_path / "unpacked")
    assert not (tmp_path / "out").exists()


def test_what_training_wrote_is_named_down_to_the_folder(modernbert: Path, tmp_path: Path) -> None:
    shutil.copytree(modernbert, tmp_path / "out" / "checkpoint")

    with pytest.raises(CheckpointUnavailable, match=rf"is what training wrote; give {tmp_path}/out/checkpoint"):
        locate_base(str(tmp_path / "out"), tmp_path / "unpacked")

    checkpoint = str(tmp_path / "out" / "checkpoint")
    assert locate_base(checkpoint, tmp_path / "unpacked") == locate_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param("config.json", "expected a Hugging Face model folder with a config.json", id="no config"),
        pytest.param("model.safetensors", r"holds no weights: expected \*.safetensors or \*.bin", id="no weights"),
    ],
)
def test_a_folder_that_is_not_whole_is_no_base(file: str, message: str, modernbert: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(modernbert, tmp_path / "base")
    (folder / file).unlink()

    with pytest.raises(CheckpointUnavailable, match=message):
        locate_base(str(folder), tmp_path / "unpacked")


def test_an_architecture_nobody_knows_is_one_line(modernbert: Path, data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(modernbert, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "cerebrum"}))

    result = train(data, tmp_path / "out", "--base", folder)

    assert result.exit_code == 1
    assert (
        "transformers cannot load it: The checkpoint you are trying to load has model type `cerebrum`" in result.stderr
    )
    with pytest.raises(CheckpointUnsupported):
        load_base(folder, ["easy", "hard"], [])
