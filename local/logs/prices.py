"""The operator's own prices: what a million prompt tokens and a million completion tokens cost on each target."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from local.errors import PricesInvalid

from .token_estimate import TokenEstimate

Price = Annotated[float, msgspec.Meta(ge=0)]
_MILLION = 1_000_000


class TargetPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In one currency, for a million tokens."""

    prompt: Price
    completion: Price


class CostChange(msgspec.Struct, frozen=True, kw_only=True):
    before: float
    after: float


def load_prices(file: Path) -> dict[str, TargetPrice]:
    """Read a YAML file of target to `{prompt, completion}`."""
    try:
        return msgspec.yaml.decode(file.read_bytes(), type=dict[str, TargetPrice])
    except OSError as exc:
        raise PricesInvalid(f"{file}: cannot be read: {exc.strerror or exc}") from exc
    except msgspec.DecodeError as exc:
        raise PricesInvalid(f"{file}: {str(exc).replace('`', '')}") from exc


def cost_change(tokens: Iterable[TokenEstimate], prices: dict[str, TargetPrice]) -> CostChange:
    """Price the tokens before and after; PricesInvalid names a target without a price."""
    tokens = list(tokens)
    if unpriced := sorted({estimate.target for estimate in tokens} - prices.keys()):
        raise PricesInvalid(f"prices: expected a price for {', '.join(unpriced)}")
    return CostChange(
        before=sum(cost(prices[each.target], each.prompt_before, each.completion_before) for each in tokens),
        after=sum(cost(prices[each.target], each.prompt_after, each.completion_after) for each in tokens),
    )


def cost(price: TargetPrice, prompt_tokens: int, completion_tokens: int) -> float:
    return (prompt_tokens * price.prompt + completion_tokens * price.completion) / _MILLION
