"""The model cards in docs/cards are what `semrouter bundle card` writes for the bundles that ship."""

from pathlib import Path

import msgspec
import pytest

from export.evaluation.evaluation import Evaluation
from export.evaluation.model_card import model_card
from routing_policy.bundle import read_bundle
from tests.conftest import CHECKOUT

CARDS = CHECKOUT / "docs" / "cards"
SHIPPED = sorted(file.parent for file in (CHECKOUT / "model_repository").glob("*/[0-9]*/bundle.json"))


def card_of(version: Path) -> Path:
    return CARDS / f"{version.parent.name}-{version.name}.md"


@pytest.mark.parametrize("version", SHIPPED, ids=lambda version: f"{version.parent.name}/{version.name}")
def test_a_shipped_bundle_has_the_card_that_its_figures_give(version: Path) -> None:
    bundle = read_bundle(version)
    evaluation = msgspec.json.decode(card_of(version).with_suffix(".json").read_bytes(), type=Evaluation)

    assert evaluation.bundle == bundle.revision, "run `make cards`"
    assert card_of(version).read_text(encoding="utf-8") == model_card(version.parent.name, bundle, evaluation)


def test_no_card_is_left_of_a_bundle_that_does_not_ship() -> None:
    assert sorted(CARDS.glob("*.md")) == sorted(card_of(version) for version in SHIPPED)
