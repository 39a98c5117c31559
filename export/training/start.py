"""What fine-tuning starts from: a checkpoint folder or a hub model, with its outputs in the order of the labels."""

from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from export.bundle.checkpoints import CONFIG_FILE, Checkpoint, first_line, load_tokenizer, locate_checkpoint
from export.bundle.dequantisation import write_checkpoint
from export.classifier.third_party import quiet_libraries
from export.encoders.small_classifier import CPU_ATTENTION
from export.errors import CheckpointUnavailable, CheckpointUnsupported
from routing_policy.bundle import BUNDLE_FILE, MODEL_FILE, read_bundle, verify_files
from routing_policy.errors import BundleInvalid

from .course import Student
from .networks import last_layer, with_more_outputs

CHECKPOINT_FOLDER = "checkpoint"
TOPIC_FOLDER = "topic"  # in the output folder; the second task's checkpoint, bundle and report
# Random numbers for every pair of tokens take longer than the attention itself, and those for every token a fifth of a
# step. BERT's names and ModernBERT's.
DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout", "hidden_dropout_prob")


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded classifier; `has_labels` tells whether it chose among the same labels before."""

    student: Student
    has_labels: bool


def locate_base(base: str, unpacked: Path) -> Checkpoint:
    """Return the folder `base`, or download the hub model of that id; the weights of a bundle go to `unpacked`.

    Raises CheckpointUnavailable for a bundle that holds no BERT.
    """
    folder = Path(base)
    if (folder / MODEL_FILE).is_file() and not _has_weights(folder):
        return _unpack(folder, unpacked)
    if (folder / CHECKPOINT_FOLDER / CONFIG_FILE).is_file():
        raise CheckpointUnavailable(base, f"is what training wrote; give {folder / CHECKPOINT_FOLDER}")
    checkpoint = locate_checkpoint(base)
    if not (checkpoint.directory / CONFIG_FILE).is_file():
        raise CheckpointUnavailable(base, f"expected a Hugging Face model folder with a {CONFIG_FILE}")
    if not _has_weights(checkpoint.directory):
        raise CheckpointUnavailable(base, "holds no weights: expected *.safetensors or *.bin")
    return checkpoint


def _unpack(folder: Path, unpacked: Path) -> Checkpoint:
    """Write the weights of the bundle in `folder` as a checkpoint."""
    try:
        bundle = read_bundle(folder)
        verify_files(folder, bundle)
        write_checkpoint(folder, bundle, unpacked)
    except (BundleInvalid, CheckpointUnsupported) as exc:
        reason = f"holds an ONNX graph, which cannot be trained ({exc}); {_instead(folder)}"
        raise CheckpointUnavailable(str(folder), reason) from exc
    return Checkpoint(directory=unpacked, source={"bundle": bundle.revision})


def load_base(checkpoint: Path, labels: list[str], topics: list[str]) -> Base:
    """Load the classifier to fine-tune, with new outputs for the topics, and for the labels where it has others."""
    with quiet_libraries():
        from transformers import AutoConfig, AutoModelForSequenceClassification

        try:
            config = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
            stated = [config.id2label[index] for index in range(config.num_labels)]
            classifier = AutoModelForSequenceClassification.from_pretrained(
                checkpoint,
                config=_prepared(config, labels),
                ignore_mismatched_sizes=True,
                attn_implementation=CPU_ATTENTION,
                local_files_only=True,
            )
        except (OSError, ValueError) as exc:
            raise CheckpointUnsupported(str(checkpoint), f"transformers cannot load it: {first_line(exc)}") from exc
    has_labels = {*stated} == {*labels}
    if has_labels:
        _reorder_outputs(classifier, [stated.index(label) for label in labels])
    with_more_outputs(classifier, len(labels), len(topics))
    _take_over_topics(classifier, checkpoint.parent / TOPIC_FOLDER / CHECKPOINT_FOLDER, labels, topics)
    return Base(student=Student(classifier, load_tokenizer(checkpoint)), has_labels=has_labels)


def _take_over_topics(classifier: Any, beside: Path, labels: list[str], topics: list[str]) -> None:
    """Give the new outputs the weights of the topic classifier that was trained with this one, if there is one."""
    from transformers import AutoModelForSequenceClassification

    if not (beside / CONFIG_FILE).is_file():
        return
    other = AutoModelForSequenceClassification.from_pretrained(beside, local_files_only=True)
    stated = [other.config.id2label[row] for row in range(other.config.num_labels)]
    if {*stated} != {*topics}:
        return
    mine = classifier.get_submodule(last_layer(classifier, len(labels) + len(topics)))
    theirs = other.get_submodule(last_layer(other, len(stated)))
    with torch.no_grad():
        for at, topic in enumerate(topics, start=len(labels)):
            mine.weight[at] = theirs.weight[stated.index(topic)]
            mine.bias[at] = theirs.bias[stated.index(topic)]


def _prepared(config: Any, labels: list[str]) -> Any:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    return config


def _reorder_outputs(classifier: Any, order: list[int]) -> None:
    """Put the rows of the last layer into `order`."""
    layers = [each for each in classifier.modules() if isinstance(each, nn.Linear) and each.out_features == len(order)]
    with torch.no_grad():
        for parameter in layers[-1].parameters():
            parameter.copy_(parameter[order])


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))


def _instead(folder: Path) -> str:
    """Say which checkpoint the graph in `folder` may have come from."""
    beside = folder.resolve().parent / CHECKPOINT_FOLDER
    if (beside / CONFIG_FILE).is_file():
        return f"give {beside}, which `semrouter train` wrote beside it"
    try:
        source = read_bundle(folder).source.get("checkpoint") if (folder / BUNDLE_FILE).is_file() else None
    except BundleInvalid:
        source = None
    if source and "/" in source:
        return f"give {source}, the hub model that bundle.json names as its source"
    return "give the checkpoint folder that `semrouter train` wrote, or the id of a hub model"
