"""Small random classifiers, exported by production code once for the whole folder."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tokenizers import Tokenizer

from export.bundle.bundling import BundleOptions, build_bundle, write_bundle_file
from export.bundle.checkpoints import locate_checkpoint
from routing_policy.bundle import BUNDLE_FILE, Bundle, bundle_revision, file_sha256
from tests.stand_ins.checkpoints import LABELS, make_bert, make_modernbert, save_checkpoint, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer()


@pytest.fixture(scope="session")
def modernbert(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    return save_checkpoint(make_modernbert(LABELS), tokenizer, tmp_path_factory.mktemp("modernbert"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    return save_checkpoint(make_bert(LABELS), tokenizer, tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def built_bundle(modernbert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the ModernBERT as an fp32 bundle; tests only read it."""
    directory = tmp_path_factory.mktemp("bundle")
    build_bundle(locate_checkpoint(str(modernbert)), directory, BundleOptions(precision="fp32"))
    return directory


@pytest.fixture
def bundle(built_bundle: Path, tmp_path: Path) -> Path:
    """Copy the bundle for a test to change."""
    return Path(shutil.copytree(built_bundle, tmp_path / "bundle"))


@pytest.fixture
def reseal() -> Callable[..., Bundle]:
    """Return a function that makes bundle.json agree with changed files, so that only the change itself can object."""

    def write(directory: Path, **changes: Any) -> Bundle:
        content = json.loads((directory / BUNDLE_FILE).read_text())
        content |= {"files": {name: file_sha256(directory / name) for name in content["files"]}, **changes}
        content["revision"] = bundle_revision(content["files"], content["labels"], content["temperature"])
        bundle = msgspec.convert(content, Bundle)
        write_bundle_file(directory, bundle)
        return bundle

    return write


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "model_repository"
    directory.mkdir()
    return directory


@pytest.fixture
def closed_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
