import random

from export.training.batches import grouped, padded


def test_every_row_is_in_one_batch_and_no_batch_is_too_large() -> None:
    rng = random.Random(3)
    ids = [[1] * rng.randrange(1, 60) for _ in range(2000)]

    batches = grouped(ids, tokens=512, rng=random.Random(0))

    assert sorted(row for batch in batches for row in batch) == list(range(2000))
    assert all(len(batch) * max(len(ids[row]) for row in batch) <= 512 for batch in batches)


def test_rows_of_a_batch_are_of_like_length() -> None:
    ids = [[1] * (1 + row % 50) for row in range(1000)]

    batches = grouped(ids, tokens=512)

    padding = sum(len(batch) * max(len(ids[row]) for row in batch) for batch in batches) - sum(map(len, ids))
    assert padding < 0.1 * sum(map(len, ids))


def test_a_small_set_still_makes_several_steps() -> None:
    assert len(grouped([[1] * 20] * 32, tokens=4096)) >= 16


def test_padding_is_masked() -> None:
    ids, mask = padded([[5, 6, 7], [8]])

    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
