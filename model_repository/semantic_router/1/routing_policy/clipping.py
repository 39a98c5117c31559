"""Which tokens of a text the classifier sees: training, evaluation and serving all call `clip_text`."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # the proxy imports this module and needs no tokenizer
    from tokenizers import Encoding, Tokenizer

# A text longer than both ends together loses its middle before tokenizing, so that cost stays bounded.
END_BYTES = 32 * 1024
# Ends this long for each token kept nearly always hold more tokens than are kept; where they do not, END_BYTES does.
_NEAR_BYTES_PER_TOKEN = 8


class ClippedText(msgspec.Struct, frozen=True, kw_only=True):
    """The token ids to classify, special tokens included, and how much of the text they stand for."""

    ids: list[int]
    tokens_total: int | None  # None when bytes were cut before tokenizing: the true total was never counted

    @property
    def truncated(self) -> bool:
        return self.tokens_total is None or self.tokens_total > len(self.ids)


def clip_text(tokenizer: "Tokenizer", text: str, max_length: int) -> ClippedText:
    """Tokenize both ends of `text` and keep the first half (rounded up) and the last half of `max_length` ids.

    Truncation must be off in `tokenizer`: it would drop the tail, and with it the closing special token.
    """
    tail = max_length // 2
    encoding, cut = _encode_ends(tokenizer, text, max_length - tail, tail)
    ids = encoding.ids
    total = None if cut else len(ids)
    if len(ids) > max_length:
        ids = ids[: max_length - tail] + ids[len(ids) - tail :]
    return ClippedText(ids=ids, tokens_total=total)


def pad_length(tokens: int, buckets: list[int]) -> int:
    """Return the smallest bucket that holds `tokens`; the largest bucket must."""
    return next(bucket for bucket in buckets if bucket >= tokens)


def _encode_ends(tokenizer: "Tokenizer", text: str, head_tokens: int, tail_tokens: int) -> tuple["Encoding", bool]:
    """Tokenize no more of `text` than it takes to know the tokens at either end; say whether that was not all of it."""
    near_bytes = _NEAR_BYTES_PER_TOKEN * (head_tokens + tail_tokens)
    if near_bytes < END_BYTES and (near := _ends(text, near_bytes)) is not None:
        encoding = tokenizer.encode("".join(near))
        if _holds(encoding, len(near[0]), head_tokens, tail_tokens):
            return encoding, True
    ends = _ends(text, END_BYTES)
    return tokenizer.encode("".join(ends or [text])), ends is not None


def _holds(encoding: "Encoding", border: int, head_tokens: int, tail_tokens: int) -> bool:
    """Whether the last token of the head lies before the character `border` and the first one of the tail after it."""
    if len(encoding) <= head_tokens + tail_tokens:
        return False
    last = encoding.token_to_chars(head_tokens - 1)
    first = encoding.token_to_chars(len(encoding) - tail_tokens)
    return last is not None and first is not None and last[1] < border < first[0]


def _ends(text: str, end_bytes: int) -> tuple[str, str] | None:
    """Return the first and the last `end_bytes` of `text`, cut between characters; None when they are all of it."""
    if len(text) * 4 <= 2 * end_bytes:  # at most four bytes a character: nothing to encode, nothing to cut
        return None
    data = text.encode("utf-8", errors="surrogatepass")
    if len(data) <= 2 * end_bytes:
        return None
    head = data[:end_bytes].decode("utf-8", errors="ignore")
    tail = data[-end_bytes:].decode("utf-8", errors="ignore")
    return head, tail
