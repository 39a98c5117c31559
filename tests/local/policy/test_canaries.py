"""`semrouter canaries` on shipped bundles and on what is none."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from local.cli import main
from local.policy.canaries import clear_canaries
from router_proxy.configuration.canaries_file import CanaryForm, load_canaries
from routing_policy.bundle import Canary, read_bundle
from tests.conftest import CHECKOUT
from tests.stand_ins.tiny_classifier import write_tiny_bundle

SHIPPED = CHECKOUT / "model_repository"


@pytest.mark.parametrize("name", ["reasoning_classifier", "topic_classifier"])
def test_a_bundles_clear_texts_become_canaries_that_the_proxy_loads(name: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["canaries", str(SHIPPED / name / "3")])

    assert result.exit_code == 0, result.output
    file = tmp_path / "canaries.yaml"
    file.write_text(result.output, encoding="utf-8")
    [(classifier, known)] = load_canaries(file).canaries.items()
    bundled = f"{name}/3/{read_bundle(SHIPPED / name / '3').revision}"
    shipped = load_canaries(CHECKOUT / "configs" / "canaries.yaml").canaries[bundled]
    assert classifier == f"{name}/3"
    assert {canary.text: canary.winner for canary in shipped}.items() <= {
        canary.text: canary.winner for canary in known
    }.items()


def test_a_classifiers_folder_stands_for_its_newest_version() -> None:
    newest = CliRunner().invoke(main, ["canaries", str(SHIPPED / "reasoning_classifier")])

    assert newest.exit_code == 0, newest.output
    assert newest.output == CliRunner().invoke(main, ["canaries", str(SHIPPED / "reasoning_classifier" / "3")]).output


def test_close_calls_are_left_out() -> None:
    scores = {"a clear one": {"x": 0.1, "y": 0.9}, "a close one": {"x": 0.45, "y": 0.55}}
    bundle = msgspec.structs.replace(
        read_bundle(SHIPPED / "reasoning_classifier" / "3"),
        canaries=[Canary(text=text, scores=each) for text, each in scores.items()],
    )

    assert clear_canaries(bundle) == [CanaryForm(text="a clear one", winner="y")]


def test_a_directory_that_is_no_version_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["canaries", str(tmp_path)])

    assert result.exit_code == 1
    assert "expected NAME/VERSION, or NAME, in a model repository" in result.output


def test_a_bundle_without_a_clear_text_is_refused(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny" / "1", labels=("non-reasoning", "reasoning"))

    result = CliRunner().invoke(main, ["canaries", str(bundle)])

    assert result.exit_code == 1
    assert "none of its texts has a score of 0.8 or more" in result.output


def test_a_version_without_a_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()

    result = CliRunner().invoke(main, ["canaries", str(tmp_path / "1")])

    assert result.exit_code == 1
    assert "bundle.json" in result.output
