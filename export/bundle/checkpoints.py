"""Where a checkpoint comes from, a hub id or a local folder, and what it says about itself without its weights."""

from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from export.classifier.third_party import quiet_libraries
from export.errors import CheckpointUnavailable, CheckpointUnsupported
from routing_policy.scoring import ProblemType

DEFAULT_CHECKPOINT = "CodeIsAbstract/ReasoningTextClassifier"
CONFIG_FILE = "config.json"
NO_LIMIT_TOKENS = 1_000_000  # transformers writes 10^30 where a tokenizer states no limit


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A Hugging Face checkpoint on the local disk and where it came from."""

    directory: Path
    source: dict[str, Any]


class ClassifierConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What config.json says that a bundle needs; `labels` are in the order of the output's last axis."""

    architecture: str
    labels: list[str]
    problem_type: ProblemType
    max_length: int


def locate_checkpoint(model: str, revision: str | None = None) -> Checkpoint:
    """Return the local folder `model`, or download the hub model of that id (safetensors where it has them)."""
    directory = Path(model)
    if directory.is_dir():
        return Checkpoint(directory=directory, source={"checkpoint": directory.resolve().name})
    if directory.is_absolute() or model.startswith(".") or model.count("/") > 1:
        raise CheckpointUnavailable(model, "no such folder")
    return _download(model, revision)


def read_classifier_config(directory: Path, labels: list[str] | None = None) -> ClassifierConfig:
    """Read labels, problem type and length limit of the checkpoint; `labels` replaces the ones it states."""
    file = directory / CONFIG_FILE
    config = _read_json(file)
    stated = _labels(file, config)
    if labels is not None and len(labels) != len(stated):
        raise CheckpointUnsupported(str(file), f"has {len(stated)} outputs, but {len(labels)} labels were given")
    return ClassifierConfig(
        architecture=str(config.get("model_type", "unknown")),
        labels=labels or _meaningful(file, stated),
        problem_type=_problem_type(file, config),
        max_length=_max_length(directory, config),
    )


def _download(model: str, revision: str | None) -> Checkpoint:
    """Take safetensors weights where the hub has them; a download made earlier serves without the hub."""
    folder = _snapshot(model, revision, "*.safetensors")
    if not any(folder.glob("*.safetensors")):
        folder = _snapshot(model, revision, "*.bin")
    return Checkpoint(directory=folder, source={"checkpoint": model, "commit": folder.name})


def _snapshot(model: str, revision: str | None, weights: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    patterns = ["*.json", "*.txt", "*.model", weights]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except HFValidationError as exc:
        raise CheckpointUnavailable(model, "neither a local folder nor a Hugging Face model id") from exc
    except LocalEntryNotFoundError as exc:
        reason = "no access to the Hugging Face hub; download the model elsewhere and pass its folder instead"
        raise CheckpointUnavailable(model, reason) from exc
    except HfHubHTTPError as exc:
        raise CheckpointUnavailable(model, f"the Hugging Face hub refused it: {first_line(exc)}") from exc


def first_line(exc: Exception) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as exc:
        raise CheckpointUnavailable(str(file), exc.strerror or str(exc)) from exc
    except msgspec.DecodeError as exc:
        raise CheckpointUnavailable(str(file), str(exc)) from exc
    return content


def _labels(file: Path, config: dict[str, Any]) -> list[str]:
    named = config.get("id2label")
    if not isinstance(named, dict):
        named = {str(index): f"LABEL_{index}" for index in range(config.get("num_labels", 2))}
    try:
        labels = [str(named[str(index)]) for index in range(len(named))]
    except KeyError as exc:
        raise CheckpointUnsupported(str(file), f"$.id2label: expected keys 0 to {len(named) - 1}") from exc
    if len(labels) < 2:  # noqa: PLR2004 - a classifier chooses between two labels at least
        raise CheckpointUnsupported(str(file), f"$.id2label: expected two labels or more, got {labels}")
    return labels


def _meaningful(file: Path, labels: list[str]) -> list[str]:
    if all(label.startswith("LABEL_") for label in labels):
        raise CheckpointUnsupported(str(file), f"$.id2label: names no labels ({labels}); give them with --labels")
    return labels


def _problem_type(file: Path, config: dict[str, Any]) -> ProblemType:
    match config.get("problem_type"):
        case None | "single_label_classification":
            return "single_label_classification"
        case "multi_label_classification":
            return "multi_label_classification"
        case other:
            raise CheckpointUnsupported(str(file), f"$.problem_type: expected a classification, got {other!r}")


def _max_length(directory: Path, config: dict[str, Any]) -> int:
    """Return the smaller of what the tokenizer and the position embeddings allow."""
    limits = [config.get("max_position_embeddings")]
    tokenizer_config = directory / "tokenizer_config.json"
    if tokenizer_config.is_file():
        limits.append(_read_json(tokenizer_config).get("model_max_length"))
    return min([int(limit) for limit in limits if limit is not None], default=NO_LIMIT_TOKENS)


def load_tokenizer(checkpoint: Path) -> Tokenizer:
    """Load tokenizer.json of the checkpoint, or convert the slow tokenizer it has instead."""
    from export.classifier.inference import read_tokenizer

    file = checkpoint / "tokenizer.json"
    tokenizer = read_tokenizer(file) if file.is_file() else _convert(checkpoint)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _convert(checkpoint: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        with quiet_libraries():
            fast = AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]  # transformers leaves it so
                checkpoint, use_fast=True, local_files_only=True
            )
    except (OSError, ValueError) as exc:
        raise CheckpointUnavailable(str(checkpoint), f"no tokenizer: {str(exc).splitlines()[0]}") from exc
    if not fast.is_fast:
        raise CheckpointUnsupported(str(checkpoint), "its tokenizer cannot be written as tokenizer.json")
    return Tokenizer.from_str(fast.backend_tokenizer.to_str())
