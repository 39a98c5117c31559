"""The three files the guide's export leaves, model.onnx, tokenizer.json and config.json: written, and taken in."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from export.classifier.inference import read_tokenizer
from export.errors import CheckpointUnavailable, CheckpointUnsupported
from export.repository.installation import InstalledVersion, LoadModel, classifier_for, current_bundle, install_bundle
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle, Canary, file_sha256

from .bundling import DEFAULT_MAX_LENGTH, BundleOptions, BundleParts, build_bundle, describe_bundle, write_bundle_file
from .checkpoints import CONFIG_FILE, Checkpoint, read_classifier_config

# In config.json: texts with their scores, by which a tokenizer of another export is told from this one's.
CANARIES_KEY = "semrouter_canaries"


class GuideFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A graph and its tokenizer, wherever they lie; config.json, which names the labels, lies beside the graph."""

    model: Path
    tokenizer: Path


def write_guide_files(checkpoint: Checkpoint, directory: Path, options: BundleOptions) -> Bundle:
    """Export the checkpoint with every check a bundle gets, and leave the guide's three files in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        bundle = build_bundle(checkpoint, Path(folder), options)
        for name in (MODEL_FILE, TOKENIZER_FILE):
            shutil.copyfile(Path(folder) / name, directory / name)
    config = msgspec.json.decode((checkpoint.directory / CONFIG_FILE).read_bytes(), type=dict[str, Any])
    config["id2label"] = {str(index): label for index, label in enumerate(bundle.labels)}
    config["label2id"] = {label: index for index, label in enumerate(bundle.labels)}
    config[CANARIES_KEY] = msgspec.to_builtins(bundle.canaries)
    (directory / CONFIG_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    return bundle


def install_guide_files(
    files: GuideFiles,
    repository: Path,
    name: str | None = None,
    *,
    max_length: int = DEFAULT_MAX_LENGTH,
    load: LoadModel | None = None,
) -> InstalledVersion | None:
    """Install the graph and tokenizer as a new version; None when the newest version already came from these files.

    Without a `name` they go to the classifier that has their labels.
    """
    source = {"model_sha256": _sha256(files.model), "tokenizer_sha256": _sha256(files.tokenizer)}
    config = read_classifier_config(files.model.parent)
    classifier = name or classifier_for(repository, config.labels)
    limit = min(max_length, config.max_length)
    if _is_installed(source, limit, current_bundle(repository, classifier)):
        return None
    parts = BundleParts(
        labels=config.labels,
        problem_type=config.problem_type,
        max_length=limit,
        temperature=1.0,
        precision="as given",
        source={**source, "architecture": config.architecture},
        figures={},
    )
    with TemporaryDirectory() as folder:
        _lay_out(files, Path(folder), parts)
        return install_bundle(Path(folder), repository, classifier, load)


def _is_installed(source: dict[str, str], max_length: int, installed: Bundle | None) -> bool:
    return installed is not None and installed.max_length == max_length and source.items() <= installed.source.items()


def _lay_out(files: GuideFiles, directory: Path, parts: BundleParts) -> None:
    tokenizer = read_tokenizer(files.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(directory / TOKENIZER_FILE))
    shutil.copyfile(files.model, directory / MODEL_FILE)
    bundle = describe_bundle(directory, parts)
    if canaries := _canaries(files.model.parent / CONFIG_FILE):
        write_bundle_file(directory, msgspec.structs.replace(bundle, canaries=canaries))


def _canaries(config: Path) -> list[Canary]:
    """Return the canaries that config.json states; none where another program exported the graph."""
    try:
        stated = msgspec.json.decode(config.read_bytes(), type=dict[str, Any]).get(CANARIES_KEY, [])
        return msgspec.convert(stated, list[Canary])
    except msgspec.DecodeError as exc:
        raise CheckpointUnsupported(str(config), f"$.{CANARIES_KEY}: {exc}") from exc


def _sha256(file: Path) -> str:
    if not file.is_file():
        raise CheckpointUnavailable(str(file), "no such file")
    return file_sha256(file)
