"""Versions that Triton could not load are set aside, so that the others serve."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from export.repository.broken_versions import set_aside_broken_versions
from tests.stand_ins.tiny_classifier import write_tiny_bundle

LABELS = ("non-reasoning", "reasoning")


def truncate(version: Path) -> None:
    os.truncate(version / "model.onnx", 10)


def lose_a_file(version: Path) -> None:
    (version / "tokenizer.json").unlink()


def garble(version: Path) -> None:
    (version / "bundle.json").write_text("{", encoding="utf-8")


def name_nothing(version: Path) -> None:
    (version / "bundle.json").write_text("[1]", encoding="utf-8")


@pytest.mark.parametrize("damage", [truncate, lose_a_file, garble, name_nothing])
def test_a_broken_version_goes_and_the_others_stay(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for number in ("1", "2", "10"):
        write_tiny_bundle(tmp_path / "reasoning_classifier" / number, labels=LABELS)
    damage(tmp_path / "reasoning_classifier" / "10")

    [told] = set_aside_broken_versions(tmp_path)

    assert told.startswith("reasoning_classifier version 10 is not served")
    assert {each.name for each in (tmp_path / "reasoning_classifier").iterdir()} == {"1", "2", ".10.broken"}


def test_the_only_version_of_a_classifier_does_not_keep_triton_from_starting_without_it(tmp_path: Path) -> None:
    truncate(write_tiny_bundle(tmp_path / "reasoning_classifier" / "1", labels=LABELS))

    [told] = set_aside_broken_versions(tmp_path)

    assert told.startswith("reasoning_classifier version 1 is not served")
    assert not (tmp_path / "reasoning_classifier" / "1").exists()


def test_what_is_no_bundle_is_no_concern(tmp_path: Path) -> None:
    (tmp_path / "semantic_router" / "1").mkdir(parents=True)
    (tmp_path / "semantic_router" / "1" / "model.py").touch()

    assert set_aside_broken_versions(tmp_path) == []
