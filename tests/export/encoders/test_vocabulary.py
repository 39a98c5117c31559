from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.encoders.vocabulary import open_tokenizer, prune_vocabulary

TEXTS = ["What is the boiling point of water?"] * 2 + ["请证明", "请证明", "naïve café"]


@pytest.fixture
def pruned(bert: Path) -> Tokenizer:
    return prune_vocabulary(open_tokenizer(bert / "tokenizer.json"), TEXTS, size=500)


def test_padding_is_token_0_and_the_size_is_kept(pruned: Tokenizer) -> None:
    assert pruned.token_to_id("[PAD]") == 0
    assert pruned.get_vocab_size() <= 500


def test_texts_begin_and_end_with_the_special_tokens(pruned: Tokenizer) -> None:
    tokens = pruned.encode("What is water?").tokens

    assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")


@pytest.mark.parametrize("text", ["What is the point?", "请证明", "NAÏVE Café", "xyz"])
def test_no_word_of_known_characters_is_unknown(pruned: Tokenizer, text: str) -> None:
    assert "[UNK]" not in pruned.encode(text).tokens
