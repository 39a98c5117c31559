"""What the classifier sees of a text: all of a short one, both ends of a long one, always with its special tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from routing_policy.clipping import END_BYTES, clip_text, pad_length

CLS, SEP, UNKNOWN = 0, 1, 2
NUMBERS = [str(number) for number in range(100)]


def make_tokenizer() -> Tokenizer:
    """Make a tokenizer with one token a word: `7` is id 10 and so on, anything else unknown."""
    vocabulary = {word: index for index, word in enumerate(["[CLS]", "[SEP]", "[UNK]", *NUMBERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def ids_of(*numbers: int) -> list[int]:
    return [number + 3 for number in numbers]


def test_a_short_text_is_seen_whole() -> None:
    clip = clip_text(make_tokenizer(), "0 1 2", max_length=8)

    assert clip.ids == [CLS, *ids_of(0, 1, 2), SEP]
    assert (clip.tokens_total, clip.truncated) == (5, False)


def test_a_text_of_exactly_the_limit_is_seen_whole() -> None:
    assert clip_text(make_tokenizer(), "0 1 2", max_length=5).truncated is False


@pytest.mark.parametrize(
    ("max_length", "expected"),
    [
        pytest.param(6, [CLS, *ids_of(0, 1), *ids_of(8, 9), SEP], id="even: half and half"),
        pytest.param(5, [CLS, *ids_of(0, 1), *ids_of(9), SEP], id="odd: the head has one more"),
        pytest.param(2, [CLS, SEP], id="nothing but special tokens"),
    ],
)
def test_a_long_text_keeps_head_and_tail_and_both_special_tokens(max_length: int, expected: list[int]) -> None:
    clip = clip_text(make_tokenizer(), "0 1 2 3 4 5 6 7 8 9", max_length)

    assert clip.ids == expected
    assert (clip.tokens_total, clip.truncated) == (12, True)


def test_the_middle_of_a_huge_text_is_cut_before_tokenizing_and_its_total_is_unknown() -> None:
    text = f"1 2 {'a' * 10_000_000} 3 4"

    clip = clip_text(make_tokenizer(), text, max_length=16)

    assert clip.ids == [CLS, *ids_of(1, 2), UNKNOWN, *ids_of(3, 4), SEP]
    assert (clip.tokens_total, clip.truncated) == (None, True)


def test_no_more_is_tokenized_than_it_takes_to_know_both_ends() -> None:
    text = " ".join(["1"] * 200)

    clip = clip_text(make_tokenizer(), text, max_length=16)

    assert clip.ids == [CLS, *ids_of(*[1] * 14), SEP]
    assert (clip.tokens_total, clip.truncated) == (None, True)


def test_a_text_whose_ends_hold_too_few_tokens_is_tokenized_further_in() -> None:
    text = f"{'a' * 300} 1 2 3 4 5 6 7 8 9 {'b' * 300}"

    clip = clip_text(make_tokenizer(), text, max_length=8)

    assert clip.ids == [CLS, UNKNOWN, *ids_of(1, 2), *ids_of(8, 9), UNKNOWN, SEP]
    assert (clip.tokens_total, clip.truncated) == (13, True)


@pytest.mark.parametrize("character", ["é", "漢", "🧮"])
def test_a_huge_text_is_cut_between_characters(character: str) -> None:
    text = "x" + character * END_BYTES + "y"

    clip = clip_text(make_tokenizer(), text, max_length=16)

    assert clip.ids == [CLS, UNKNOWN, SEP]
    assert clip.tokens_total is None


@given(st.lists(st.sampled_from(NUMBERS), max_size=60), st.integers(2, 40))
def test_no_more_than_the_limit_is_seen(words: list[str], max_length: int) -> None:
    clip = clip_text(make_tokenizer(), " ".join(words), max_length)

    assert len(clip.ids) == min(len(words) + 2, max_length)
    assert (clip.ids[0], clip.ids[-1]) == (CLS, SEP)


@given(st.text(max_size=500))
def test_any_text_can_be_clipped(text: str) -> None:
    assert len(clip_text(make_tokenizer(), text, 16).ids) >= 2


@pytest.mark.parametrize(("tokens", "length"), [(2, 16), (16, 16), (17, 32), (33, 64), (64, 64)])
def test_the_pad_length_is_the_smallest_bucket_that_holds_the_tokens(tokens: int, length: int) -> None:
    assert pad_length(tokens, [16, 32, 64]) == length
