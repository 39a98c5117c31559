"""What the answers of a pair cost: as the rows say, by prices for their tokens, or in tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from export.errors import TrainingDataInvalid

from .curve import Numbers
from .rows import Answer, Pair

MILLION = 1_000_000
Price = Annotated[float, msgspec.Meta(ge=0)]


class TokenPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In one currency, for a million tokens."""

    prompt: Price
    completion: Price

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        return (prompt_tokens * self.prompt + answer_tokens * self.completion) / MILLION


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What each answer cost [rows], and in what."""

    strong: Numbers
    weak: Numbers
    unit: str


def read_prices(file: Path | None) -> dict[str, TokenPrice]:
    """Read a YAML file of model to `{prompt, completion}`, the form that `policy replay --prices` reads."""
    if file is None:
        return {}
    try:
        return msgspec.yaml.decode(file.read_bytes(), type=dict[str, TokenPrice])
    except OSError as exc:
        raise TrainingDataInvalid(file, None, exc.strerror or str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise TrainingDataInvalid(file, None, str(exc).replace("`", "")) from exc


def read_costs(file: Path, pairs: Sequence[Pair], prices: Mapping[str, TokenPrice]) -> Costs | None:
    """Return the cost of each answer; None where no row says anything about cost or tokens.

    Raises TrainingDataInvalid for the first row that lacks what others have, or what prices need.
    """
    if not prices and not any(_knows_any(pair) for pair in pairs):
        return None
    by_rows = not prices and any(pair.strong.cost is not None for pair in pairs)
    unit = "cost" if by_rows or prices else "tokens of the answers"
    strong = [_cost(file, pair, pair.strong_model, prices, by_rows=by_rows) for pair in pairs]
    weak = [_cost(file, pair, pair.weak_model, prices, by_rows=by_rows) for pair in pairs]
    return Costs(strong=np.array(strong), weak=np.array(weak), unit=unit)


def _knows_any(pair: Pair) -> bool:
    return any(each.cost is not None or each.tokens is not None for each in (pair.strong, pair.weak))


def _cost(file: Path, pair: Pair, model: str, prices: Mapping[str, TokenPrice], *, by_rows: bool) -> float:
    answer: Answer = pair.strong if model == pair.strong_model else pair.weak
    field, value = ("cost", answer.cost) if by_rows else ("tokens", answer.tokens)
    if value is None:
        raise TrainingDataInvalid(file, pair.line, f"$.models[{model!r}]: expected {field}, which other rows have")
    if not prices:
        return float(value)
    if model not in prices:
        raise TrainingDataInvalid(file, pair.line, f"expected a price for {model!r}, got those of {sorted(prices)}")
    return prices[model].of(answer.prompt_tokens or 0, int(value))
