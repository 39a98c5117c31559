from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from export.bundle.check_prompts import TokenizedPrompts, check_prompts, tokenize_prompts
from export.bundle.checkpoints import load_tokenizer
from export.bundle.onnx_export import export_graph
from export.bundle.parity import Parity, check_parity, largest_difference, require_parity, shortest_and_longest
from export.errors import ParityFailed
from tests.stand_ins.checkpoints import LABELS, make_modernbert, save_checkpoint

BUCKETS = [32, 64, 128, 256]


@pytest.fixture(scope="module")
def prompts(modernbert: Path) -> TokenizedPrompts:
    return tokenize_prompts(load_tokenizer(modernbert), check_prompts(), BUCKETS)


def test_the_check_prompts_fill_every_bucket(prompts: TokenizedPrompts) -> None:
    lengths = [len(ids) for ids in prompts.ids]

    assert len(prompts.texts) >= 40
    assert min(lengths) <= 8
    assert max(lengths) == 256
    for shorter, longer in zip([0, *BUCKETS], BUCKETS, strict=False):
        assert sum(shorter < length <= longer for length in lengths) >= 2


def test_an_exported_graph_repeats_pytorch_in_every_layout(
    modernbert: Path, built_bundle: Path, prompts: TokenizedPrompts
) -> None:
    parity = check_parity(modernbert, built_bundle / "model.onnx", prompts)

    assert parity.difference < 1e-4


def test_the_graph_of_another_checkpoint_fails_with_the_prompt_that_shows_it(
    modernbert: Path, tokenizer: Tokenizer, prompts: TokenizedPrompts, tmp_path: Path
) -> None:
    other = save_checkpoint(make_modernbert(LABELS, seed=5), tokenizer, tmp_path / "other")
    export_graph(other, tmp_path / "model.onnx")

    with pytest.raises(ParityFailed, match="differs from PyTorch by") as caught:
        check_parity(modernbert, tmp_path / "model.onnx", prompts)

    assert caught.value.difference > 0.01
    assert caught.value.tolerance == 1e-3
    assert caught.value.text in prompts.texts


def test_the_largest_difference_is_taken_over_every_layout_and_label() -> None:
    reference = np.array([[0.0, 1.0], [2.0, 3.0]], dtype=np.float32)
    near = reference + np.float32(0.25)
    far = np.array([[0.0, 1.0], [2.0, 3.5]], dtype=np.float32)

    assert largest_difference(reference, [near, far], ["a", "b"]) == Parity(difference=0.5, text="b")


def test_the_most_uneven_batch_holds_both_ends() -> None:
    ids = [[0] * length for length in (5, 1, 9, 2, 7)]

    assert shortest_and_longest(ids, each=2) == [1, 3, 4, 2]
    assert shortest_and_longest(ids[:1], each=2) == [0]


def test_not_a_number_is_never_within_tolerance() -> None:
    reference = np.zeros((2, 2), dtype=np.float32)
    broken = np.array([[0.0, 0.0], [np.nan, 0.0]], dtype=np.float32)

    parity = largest_difference(reference, [broken], ["a", "b"])

    with pytest.raises(ParityFailed, match=r"by inf in a logit, tolerance 0\.001, for 'b'"):
        require_parity(parity, 1e-3)
