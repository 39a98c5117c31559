import json
from pathlib import Path

import pytest

from export.repository.serving_copy import advice_on, models_with_versions, refresh_serving_copy

NAME = "reasoning_classifier"


def write_version(repository: Path, number: int, revision: str) -> Path:
    version = repository / NAME / str(number)
    version.mkdir(parents=True, exist_ok=True)
    (version / "bundle.json").write_text(json.dumps({"revision": revision}))
    return version


def revisions(repository: Path) -> dict[str, str]:
    files = sorted((repository / NAME).glob("*/bundle.json"))
    return {file.parent.name: json.loads(file.read_text())["revision"] for file in files}


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    repository = tmp_path / "shipped"
    write_version(repository, 1, "shipped one")
    (repository / NAME / "config.pbtxt").write_text("first")
    return repository


@pytest.fixture
def copy(shipped: Path, tmp_path: Path) -> Path:
    refresh_serving_copy(shipped, tmp_path / "copy")
    return tmp_path / "copy"


def test_configuration_and_shipped_versions_follow_the_checkout(shipped: Path, copy: Path) -> None:
    (shipped / NAME / "config.pbtxt").write_text("second")
    write_version(shipped, 1, "shipped one again")
    write_version(shipped, 2, "shipped two")

    left_out = refresh_serving_copy(shipped, copy)

    assert left_out == []
    assert (copy / NAME / "config.pbtxt").read_text() == "second"
    assert revisions(copy) == {"1": "shipped one again", "2": "shipped two"}


def test_an_installed_version_keeps_its_number_when_the_checkout_ships_the_same(shipped: Path, copy: Path) -> None:
    write_version(copy, 2, "my own")
    ours = write_version(shipped, 2, "shipped two")

    for _ in range(2):
        left_out = refresh_serving_copy(shipped, copy)

        assert left_out == [ours]
        assert revisions(copy) == {"1": "shipped one", "2": "my own"}
    assert advice_on(ours) == (
        "reasoning_classifier version 2 is one you installed and stays;"
        f" to use the shipped one: semrouter bundle install {ours}"
    )


def test_a_copy_from_before_the_record_keeps_what_it_cannot_tell_apart(shipped: Path, copy: Path) -> None:
    (copy / NAME / ".shipped.json").unlink()
    write_version(shipped, 1, "shipped one again")

    assert refresh_serving_copy(shipped, copy) == [shipped / NAME / "1"]
    assert revisions(copy) == {"1": "shipped one"}


def test_a_copy_that_was_cut_off_is_made_again(shipped: Path, copy: Path) -> None:
    (copy / NAME / "1" / "bundle.json").write_text('{"revi')

    assert refresh_serving_copy(shipped, copy) == []
    assert revisions(copy) == {"1": "shipped one"}


def test_a_withdrawn_version_stays_withdrawn(shipped: Path, copy: Path) -> None:
    write_version(shipped, 2, "shipped two")
    refresh_serving_copy(shipped, copy)
    (copy / NAME / "2").rename(copy / NAME / ".2.withdrawn")

    refresh_serving_copy(shipped, copy)

    assert revisions(copy) == {".2.withdrawn": "shipped two", "1": "shipped one"}


def test_a_model_that_was_installed_stays_and_is_served(shipped: Path, copy: Path) -> None:
    (copy / "my_classifier" / "1").mkdir(parents=True)

    refresh_serving_copy(shipped, copy)

    assert models_with_versions(copy) == ["my_classifier", NAME]
