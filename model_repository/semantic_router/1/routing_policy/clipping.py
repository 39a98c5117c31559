"""Which tokens of a text the classifier sees: training, evaluation and serving all call `clip_text`."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # the proxy imports this module and needs no tokenizer
    from tokenizers import Tokenizer

# A text longer than both ends together loses its middle before tokenizing, so that cost stays bounded.
END_BYTES = 32 * 1024


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
    ends, cut = _keep_ends(text)
    ids = tokenizer.encode(ends).ids
    total = None if cut else len(ids)
    if len(ids) > max_length:
        tail = max_length // 2
        ids = ids[: max_length - tail] + ids[len(ids) - tail :]
    return ClippedText(ids=ids, tokens_total=total)


def pad_length(tokens: int, buckets: list[int]) -> int:
    """Return the smallest bucket that holds `tokens`; the largest bucket must."""
    return next(bucket for bucket in buckets if bucket >= tokens)


def _keep_ends(text: str) -> tuple[str, bool]:
    if len(text) * 4 <= 2 * END_BYTES:  # at most four bytes a character: nothing to encode, nothing to cut
        return text, False
    data = text.encode("utf-8", errors="surrogatepass")
    if len(data) <= 2 * END_BYTES:
        return text, False
    head = data[:END_BYTES].decode("utf-8", errors="ignore")
    tail = data[-END_BYTES:].decode("utf-8", errors="ignore")
    return head + tail, True
