from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from export.errors import BundleRejected, TritonRefused, VersionNotFound
from export.repository.installation import (
    classifier_for,
    classifier_names,
    install_bundle,
    installed_versions,
    rollback,
)
from export.repository.serving_copy import refresh_serving_copy
from export.repository.triton_config import parse_config

NAME = "reasoning_classifier"


def contents(repository: Path) -> dict[str, bytes]:
    return {str(file.relative_to(repository)): file.read_bytes() for file in repository.rglob("*") if file.is_file()}


def versions(repository: Path) -> list[tuple[int, bool]]:
    return [(version.version, version.withdrawn) for version in installed_versions(repository, NAME)]


class RefusingTriton:
    """Refuses to load while the newest version is `bad`, and keeps what it was asked."""

    def __init__(self, repository: Path, bad: int) -> None:
        self.repository = repository
        self.bad = bad
        self.loaded: list[list[tuple[int, bool]]] = []

    def load(self, name: str) -> None:
        self.loaded.append(versions(self.repository))
        if (self.bad, False) in versions(self.repository):
            raise TritonRefused(name, "localhost:1", "out of memory")


def test_the_first_version_of_a_new_classifier_brings_its_configuration(bundle: Path, repository: Path) -> None:
    installed = install_bundle(bundle, repository, NAME)

    config = parse_config((repository / NAME / "config.pbtxt").read_text())
    assert installed.version == 1
    assert sorted(entry.name for entry in installed.directory.iterdir()) == [
        "bundle.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert config.name == NAME
    assert config.backend == "onnxruntime"
    assert [tensor.name for tensor in config.input] == ["input_ids", "attention_mask"]
    assert list(config.output[0].dims) == [2]


def test_the_next_version_joins_and_leaves_the_configuration_alone(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    before = (repository / NAME / "config.pbtxt").read_bytes()

    install_bundle(bundle, repository, NAME)

    assert versions(repository) == [(1, False), (2, False)]
    assert (repository / NAME / "config.pbtxt").read_bytes() == before


def test_a_number_is_never_used_again(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    rollback(repository, NAME)
    (repository / NAME / ".7.tmp").mkdir()

    installed = install_bundle(bundle, repository, NAME)

    assert installed.version == 8
    assert versions(repository) == [(1, False), (2, True), (8, False)]


def test_installers_at_the_same_time_get_a_version_each(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    with ThreadPoolExecutor(4) as pool:
        installed = list(pool.map(lambda _: install_bundle(bundle, repository, NAME).version, range(4)))

    assert sorted(installed) == [2, 3, 4, 5]


def test_rollback_withdraws_the_newest_version_and_loads_what_is_left(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    triton = RefusingTriton(repository, bad=0)

    serving = rollback(repository, NAME, triton.load, settle_seconds=0)

    assert serving.version == 1
    assert triton.loaded == [[(1, False), (2, True)]]


def test_a_shipped_version_that_was_withdrawn_does_not_come_back_with_the_next_start(
    bundle: Path, repository: Path, tmp_path: Path
) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    refresh_serving_copy(repository, tmp_path / "copy")
    rollback(tmp_path / "copy", NAME)

    refresh_serving_copy(repository, tmp_path / "copy")

    assert versions(tmp_path / "copy") == [(1, False), (2, True)]


def test_the_only_version_cannot_be_rolled_back(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    with pytest.raises(VersionNotFound, match="no version to go back to"):
        rollback(repository, NAME)

    assert versions(repository) == [(1, False)]


def test_a_version_triton_refuses_is_withdrawn_and_the_old_one_loaded(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    triton = RefusingTriton(repository, bad=2)

    with pytest.raises(TritonRefused, match="out of memory"):
        install_bundle(bundle, repository, NAME, triton.load)

    assert triton.loaded == [[(1, False), (2, False)], [(1, False), (2, True)]]


def test_the_classifier_with_the_same_labels_is_found_in_any_order(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    assert classifier_names(repository) == [NAME]
    assert classifier_for(repository, ["reasoning", "non-reasoning"]) == NAME
    with pytest.raises(VersionNotFound, match="--name"):
        classifier_for(repository, ["math", "code"])


@pytest.mark.parametrize("name", ["../elsewhere", "two words", "", "a;b"])
def test_a_name_no_shell_should_see_is_refused(name: str, bundle: Path, repository: Path) -> None:
    with pytest.raises(BundleRejected, match="--name"):
        install_bundle(bundle, repository, name)

    assert contents(repository) == {}


def test_a_bundle_whose_inputs_differ_from_the_installed_configuration_needs_another_name(
    bundle: Path, repository: Path
) -> None:
    install_bundle(bundle, repository, NAME)
    config = repository / NAME / "config.pbtxt"
    config.write_text(config.read_text().replace("attention_mask", "token_type_ids"))

    with pytest.raises(BundleRejected, match=r"config.pbtxt does not fit: inputs"):
        install_bundle(bundle, repository, NAME)

    assert versions(repository) == [(1, False)]


def test_without_a_repository_the_command_that_makes_one_is_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match="semrouter up"):
        install_bundle(bundle, tmp_path / "nowhere", NAME)
