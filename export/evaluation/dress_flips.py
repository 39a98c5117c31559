"""How often what is put around a prompt changes where it goes, counted with dresses that training never saw."""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

import msgspec
import numpy as np
import numpy.typing as npt

from export.recipe.dresses import HELD_OUT_DRESSES, Dress, read_dresses

from .metrics import Figure, wilson

JudgedEasy = Callable[[Sequence[str]], npt.NDArray[np.bool_]]
EASY_LABELS = ("non-reasoning", "general")  # where the others are the ones worth a dearer model


class DressFlips(msgspec.Struct, frozen=True, kw_only=True):
    """Of prompts that were judged hard, or easy, without a dress: the share that is judged the other way in one."""

    kind: str  # of dress
    dresses: int
    lost: Figure  # of the hard ones
    raised: Figure  # of the easy ones
    most_lost: float  # by one dress
    most_raised: float


class _Tries(msgspec.Struct, frozen=True, kw_only=True):
    """What one dress did: was each hard text lost, and each easy one raised."""

    kind: str
    lost: list[bool]
    raised: list[bool]


def easy_label(labels: Sequence[str]) -> int:
    """Return the place of the label for prompts that need no reasoning; the first where none is called so."""
    return next((labels.index(label) for label in EASY_LABELS if label in labels), 0)


def count_dress_flips(texts: Sequence[str], judged_easy: JudgedEasy, each: int) -> list[DressFlips]:
    """Put every held-out dress on `each` of the hard and of the easy texts, in turn; all dresses first, then by kind.

    A text counts as what it is judged without a dress. Nothing comes back where all are judged alike.
    """
    sides = list(zip(texts, judged_easy(texts), strict=True))
    hard, plain = [text for text, easy in sides if not easy], [text for text, easy in sides if easy]
    if not hard or not plain or not each:
        return []
    tries = _try_on(read_dresses(HELD_OUT_DRESSES), _in_turn(hard, each), _in_turn(plain, each), judged_easy)
    kinds = sorted({one.kind for one in tries})
    return [_sum("all", tries), *(_sum(kind, [one for one in tries if one.kind == kind]) for kind in kinds)]


def _in_turn(texts: list[str], each: int) -> Iterator[list[str]]:
    """Yield so many texts at a time, beginning again after the last."""
    turn = cycle(texts)
    while True:
        yield [*islice(turn, min(each, len(texts)))]


def _try_on(
    dresses: Sequence[Dress], hard: Iterator[list[str]], plain: Iterator[list[str]], judged_easy: JudgedEasy
) -> list[_Tries]:
    """Judge all dressed texts in one go, which batches them by length, and sort the decisions by dress."""
    worn = []
    for dress, hard_texts, plain_texts in zip(dresses, hard, plain, strict=False):
        worn.append(([dress.around(text) for text in hard_texts], [dress.around(text) for text in plain_texts]))
    is_easy = iter(judged_easy([text for both in worn for texts in both for text in texts]).tolist())
    tries = []
    for dress, (hard_texts, plain_texts) in zip(dresses, worn, strict=True):
        lost = [*islice(is_easy, len(hard_texts))]
        raised = [not one for one in islice(is_easy, len(plain_texts))]
        tries.append(_Tries(kind=dress.kind, lost=lost, raised=raised))
    return tries


def _sum(kind: str, tries: Sequence[_Tries]) -> DressFlips:
    return DressFlips(
        kind=kind,
        dresses=len(tries),
        lost=wilson(np.array([lost for one in tries for lost in one.lost])),
        raised=wilson(np.array([raised for one in tries for raised in one.raised])),
        most_lost=max(sum(one.lost) / len(one.lost) for one in tries),
        most_raised=max(sum(one.raised) / len(one.raised) for one in tries),
    )
