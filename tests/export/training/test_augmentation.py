import random
from string import Formatter

import pytest

from export.evaluation.robustness import GADGETS, rewrite_all
from export.evaluation.robustness import REWRITES as MEASURED
from export.training import framings
from export.training.augmentation import REWRITES, Rewrite, rewritten

TEXTS = [
    f"Please tell me, in a few words, how question number {number} would be answered by you." for number in range(200)
]
SHORT = ["hi", "2", "¿Qué?", "a b", "今天天气怎么样", "{not a template}"]


def test_the_same_seed_rewrites_the_same_way() -> None:
    assert rewritten(TEXTS, seed=1) == rewritten(TEXTS, seed=1)
    assert rewritten(TEXTS, seed=1) != rewritten(TEXTS, seed=2)


def test_some_texts_stay_as_written_and_none_is_lost() -> None:
    variants = rewritten(TEXTS, seed=1)

    same = sum(variant == text for variant, text in zip(variants, TEXTS, strict=True))
    assert 0.3 < same / len(TEXTS) < 0.6
    assert all(variant.strip() for variant in variants)


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__.strip("_"))
def test_every_rewrite_leaves_most_of_the_words_of_a_text(rewrite: Rewrite) -> None:
    rng = random.Random(0)

    for text in TEXTS:
        kept = set(text.lower().rstrip(".").split()) & set(rewrite(text, rng).lower().split())
        assert len(kept) >= 7


@pytest.mark.parametrize("rewrite", [framings.marked_up, framings.advertised], ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize("text", SHORT)
def test_a_framing_keeps_the_prompt_whole(rewrite: Rewrite, text: str) -> None:
    rng = random.Random(0)

    assert all(text in rewrite(text, rng) for _ in range(200))


def test_training_never_sees_a_framing_the_evaluation_measures_with() -> None:
    measured = {
        rewrite_all([text], rewrite)[0] for text in TEXTS for name, rewrite in MEASURED.items() if _frames(name)
    }
    rng = random.Random(0)

    framed = {rewrite(text, rng) for text in TEXTS * 20 for rewrite in (framings.marked_up, framings.advertised)}

    assert not measured & framed
    assert not any(gadget.strip() in text for gadget in GADGETS for text in framed)


def test_every_markup_has_one_place_for_the_prompt() -> None:
    for markup in framings.MARKUP:
        assert [field for _, field, _, _ in Formatter().parse(markup) if field is not None] == ["text"]


def _frames(name: str) -> bool:
    return name in {"Markdown quote", "code fence"} or name.startswith("gadget")
