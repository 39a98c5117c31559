import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.bundle.bundling import BundleOptions
from export.bundle.checkpoints import Checkpoint, locate_checkpoint
from export.bundle.guide_files import GuideFiles, install_guide_files, write_guide_files
from export.classifier.inference import classify, open_classifier
from export.errors import BundleRejected, CheckpointUnavailable, CheckpointUnsupported
from export.repository.installation import install_bundle, installed_versions

NAME = "reasoning_classifier"


@pytest.fixture(scope="module")
def exported(modernbert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the guide's three files, the tokenizer cutting and padding as exporters elsewhere leave it."""
    directory = tmp_path_factory.mktemp("guide")
    write_guide_files(locate_checkpoint(str(modernbert)), directory, BundleOptions(precision="fp32"))
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.fixture
def files(exported: Path) -> GuideFiles:
    return GuideFiles(model=exported / "model.onnx", tokenizer=exported / "tokenizer.json")


def test_the_files_become_the_next_version_and_score_as_their_checkpoint(
    files: GuideFiles, built_bundle: Path, repository: Path
) -> None:
    install_bundle(built_bundle, repository, NAME)

    installed = install_guide_files(files, repository)

    assert installed is not None
    assert (installed.classifier, installed.version) == (NAME, 2)
    texts = ["What is a prime number?", "prime " * 200]
    expected = classify(open_classifier(built_bundle), texts)
    assert classify(open_classifier(installed.directory), texts) == pytest.approx(expected, abs=1e-5)


def test_the_same_files_are_installed_once(files: GuideFiles, repository: Path) -> None:
    first = install_guide_files(files, repository, NAME)
    second = install_guide_files(files, repository, NAME)

    assert first is not None
    assert second is None
    assert [version.version for version in installed_versions(repository, NAME)] == [1]


def test_another_length_limit_is_another_version(files: GuideFiles, repository: Path) -> None:
    install_guide_files(files, repository, NAME)

    installed = install_guide_files(files, repository, NAME, max_length=64)

    assert installed is not None
    assert installed.version == 2


def test_labels_given_by_hand_are_written_into_config_json(modernbert: Path, tmp_path: Path) -> None:
    options = BundleOptions(precision="fp32", labels=["easy", "hard"])

    write_guide_files(Checkpoint(directory=modernbert, source={}), tmp_path, options)

    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "easy", "1": "hard"}
    assert config["label2id"] == {"easy": 0, "hard": 1}


def test_a_tokenizer_of_another_export_is_told_by_the_canaries(
    files: GuideFiles, repository: Path, tmp_path: Path
) -> None:
    content = json.loads(files.tokenizer.read_text())
    vocabulary = content["model"]["vocab"]
    pieces = [*vocabulary][5:]  # the first five are special tokens
    content["model"]["vocab"] |= dict(zip(pieces, [vocabulary[piece] for piece in reversed(pieces)], strict=True))
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))

    with pytest.raises(BundleRejected, match=r"tokenizer.json does not match the graph model.onnx, .*canary 'What"):
        install_guide_files(GuideFiles(model=files.model, tokenizer=tmp_path / "tokenizer.json"), repository, NAME)

    assert not [*repository.iterdir()]


def test_a_missing_model_is_named(files: GuideFiles, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnavailable, match=r"gone.onnx: no such file"):
        install_guide_files(GuideFiles(model=tmp_path / "gone.onnx", tokenizer=files.tokenizer), repository, NAME)


def test_labels_are_looked_for_beside_the_model(files: GuideFiles, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(files.model.read_bytes())
    (tmp_path / "config.json").write_text('{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}')

    with pytest.raises(CheckpointUnsupported, match=r"config.json: \$.id2label: names no labels"):
        install_guide_files(GuideFiles(model=tmp_path / "model.onnx", tokenizer=files.tokenizer), repository, NAME)
