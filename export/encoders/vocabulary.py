"""A tokenizer small enough to ship: a WordPiece vocabulary cut down to what the training prompts use."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"
# A character two prompts use is worth an entry: one unknown character turns its whole word into [UNK].
MIN_CHARACTER_PROMPTS = 2
SCAN_CHARACTERS = 4000


def open_tokenizer(file: Path) -> Tokenizer:
    """Open a tokenizer.json with padding and truncation off, as `clip_text` needs it."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def prune_vocabulary(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> Tokenizer:
    """Return a WordPiece tokenizer with at most `size` entries: specials, characters, then the most used pieces.

    "[PAD]" gets id 0. Single characters of the old vocabulary stay, whatever their use; characters of `texts` join.
    """
    scanned = [text[:SCAN_CHARACTERS] for text in texts]
    characters = _characters(tokenizer, scanned)
    kept = dict.fromkeys([*SPECIALS, *characters])
    for piece in _by_use(tokenizer, scanned):
        if len(kept) >= size:
            break
        kept.setdefault(piece)
    return _with_pieces(tokenizer, list(kept))


def _characters(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    """Return every character worth knowing, alone and as the continuation of a word."""
    normalizer = tokenizer.normalizer
    seen = Counter(char for text in texts for char in set(normalizer.normalize_str(text)) if not char.isspace())
    known = {piece.removeprefix(CONTINUATION) for piece in tokenizer.get_vocab()}
    single = {piece for piece in known if len(piece) == 1}
    single |= {char for char, prompts in seen.items() if prompts >= MIN_CHARACTER_PROMPTS}
    ordered = sorted(single)
    return ordered + [CONTINUATION + char for char in ordered if _continues_words(char)]


def _continues_words(char: str) -> bool:
    """Tell whether BERT's pre-tokenizer ever leaves `char` inside a word: it isolates punctuation and ideographs."""
    return unicodedata.category(char)[0] not in "PZC" and not unicodedata.name(char, "").startswith("CJK")


def _by_use(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    used: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(texts):
        used.update(set(encoding.tokens))
    return sorted(used, key=lambda piece: (-used[piece], piece))


def _with_pieces(tokenizer: Tokenizer, pieces: list[str]) -> Tokenizer:
    content = msgspec.json.decode(tokenizer.to_str())
    ids = {piece: index for index, piece in enumerate(pieces)}
    content["model"]["vocab"] = ids
    content["added_tokens"] = [token | {"id": ids[token["content"]]} for token in content["added_tokens"]]
    for special in content["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [ids[token] for token in special["tokens"]]
    return Tokenizer.from_str(msgspec.json.encode(content).decode())
