from export.augmentation import rewritten

TEXTS = [
    f"Please tell me, in a few words, how question number {number} would be answered by you." for number in range(200)
]


def test_the_same_seed_rewrites_the_same_way() -> None:
    assert rewritten(TEXTS, seed=1) == rewritten(TEXTS, seed=1)
    assert rewritten(TEXTS, seed=1) != rewritten(TEXTS, seed=2)


def test_some_texts_stay_as_written_and_none_is_lost() -> None:
    variants = rewritten(TEXTS, seed=1)

    same = sum(variant == text for variant, text in zip(variants, TEXTS, strict=True))
    assert 0.3 < same / len(TEXTS) < 0.6
    assert all(variant.strip() for variant in variants)
