from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose

from export.training.loop import Examples, Schedule, pair_loss, paired_batches
from export.training.networks import Outputs

WEIGHTS = torch.ones(2)


def judged(logits: list[list[float]], topics: list[list[float]]) -> Any:
    return Outputs(torch.tensor(logits), torch.tensor(topics), None)


def test_copies_judged_alike_cost_nothing_however_sure_they_are() -> None:
    outputs = judged([[3.0, -3.0], [0.0, 0.0]], [[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]])
    shifted = judged([[4.0, -2.0], [5.0, 5.0]], [[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]])

    assert_allclose(pair_loss(outputs, shifted, WEIGHTS), 0.0, atol=1e-6)


@pytest.mark.parametrize("topics", [[[], []], [[0.0, 0.0], [0.0, 0.0]]], ids=["labels only", "topics alike"])
def test_copies_judged_apart_cost_half_the_divergence_both_ways(topics: list[list[float]]) -> None:
    bare, dressed = judged([[1.0, 0.0], [0.0, 0.0]], topics), judged([[0.0, 1.0], [0.0, 0.0]], topics)

    # Scores of .731 and .269 against .269 and .731: the divergence is .462 either way, and the second row's is 0.
    assert_allclose(pair_loss(bare, dressed, WEIGHTS), 0.462117 / 2, rtol=1e-5)


def test_topics_judged_apart_cost_as_well() -> None:
    bare, dressed = judged([[0.0, 0.0]], [[1.0, 0.0]]), judged([[0.0, 0.0]], [[0.0, 1.0]])

    assert_allclose(pair_loss(bare, dressed, torch.ones(1)), 0.462117, rtol=1e-5)


def test_a_batch_has_room_for_both_copies() -> None:
    ids = [[1] * 10 for _ in range(64)]
    examples = Examples(ids, torch.zeros(64), None, torch.ones(64), None, dressed=[[1] * 30 for _ in range(64)])

    batches = paired_batches(examples, Schedule(learning_rate=1.0, tokens_per_batch=160))

    assert sorted(row for batch in batches for row in batch) == [*range(64)]
    assert {len(batch) for batch in batches} == {4}
