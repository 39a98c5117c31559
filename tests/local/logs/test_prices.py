"""The operator's prices applied to tokens before and after."""

from pathlib import Path

import pytest

from local.errors import PricesInvalid
from local.logs.prices import TargetPrice, cost_change, load_prices
from local.logs.token_estimate import TokenEstimate

MOVED = [
    TokenEstimate(
        target="big", prompt_before=2_000_000, prompt_after=1_000_000, completion_before=500_000, completion_after=0
    ),
    TokenEstimate(
        target="small", prompt_before=0, prompt_after=1_000_000, completion_before=0, completion_after=250_000
    ),
]


def test_tokens_are_priced_by_the_million(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("big: {prompt: 1, completion: 4}\nsmall: {prompt: 0.1, completion: 0.4}\n")

    cost = cost_change(MOVED, load_prices(file))

    assert (cost.before, round(cost.after, 9)) == (4.0, 1.2)


def test_a_target_without_a_price_is_named() -> None:
    with pytest.raises(PricesInvalid, match="expected a price for small"):
        cost_change(MOVED, {"big": TargetPrice(prompt=1, completion=4)})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("big: [", "while parsing", id="not YAML"),
        pytest.param("big: {prompt: 1}", "missing required field completion", id="half a price"),
        pytest.param("big: {prompt: -1, completion: 1}", "Expected float >= 0", id="negative"),
    ],
)
def test_a_price_list_that_makes_no_sense_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(content)

    with pytest.raises(PricesInvalid, match=reason):
        load_prices(file)


def test_a_missing_price_list_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PricesInvalid, match=r"absent\.yaml: cannot be read: No such file or directory"):
        load_prices(tmp_path / "absent.yaml")
