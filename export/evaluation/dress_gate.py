"""A bundle states how often a dress flips it, and is refused where it flips more often than that."""

from typing import Any

import msgspec

from export.classifier.inference import Classifier
from export.classifier.prompt_files import SHIPPED_PROMPTS, read_texts

from .dress_flips import count_dress_flips
from .evaluation import judged_easy

FIGURE = "dress"  # in the figures of bundle.json
TEXTS = 150  # of the prompts that ship: enough of both sides, and some seconds in all
ALLOWANCE = 0.02  # another processor rounds otherwise


class DressFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Of hard prompts in a held-out dress the share that is lost, of easy ones the share that is raised."""

    lost: float
    raised: float
    dresses: int


def measure_dress(classifier: Classifier) -> DressFigure | None:
    """Put every held-out dress on one hard and one easy prompt; None where the bundle judges all prompts alike."""
    texts = read_texts(SHIPPED_PROMPTS)[:TEXTS]
    for found in count_dress_flips(texts, judged_easy(classifier), each=1)[:1]:
        return DressFigure(lost=found.lost.value, raised=found.raised.value, dresses=found.dresses)
    return None


def objection_to_dress(classifier: Classifier) -> str | None:
    """Return what speaks against a bundle that flips more than it says; one that says nothing is not measured."""
    stated = _stated(classifier.bundle.figures)
    if stated is None:
        return None
    found = measure_dress(classifier)
    if found is None:
        return "judges all prompts alike"
    for name in ("lost", "raised"):
        says, is_now = getattr(stated, name), getattr(found, name)
        if is_now > says + ALLOWANCE:
            return f"{name} {100 * is_now:.1f} % of prompts in a dress, where bundle.json says {100 * says:.1f} %"
    return None


def _stated(figures: dict[str, Any]) -> DressFigure | None:
    return msgspec.convert(figures[FIGURE], DressFigure) if FIGURE in figures else None
