"""Prompts of chosen lengths, from the project's own evaluation set. Asked in turn they come again, as caches notice.

Run: .venv/bin/python -m benchmarks.instruments.prompts > benchmarks/inputs/mixed.json
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from benchmarks.table.machine import CHECKOUT
from export.bundle.checkpoints import load_tokenizer

from .in_process import newest_version

EVALUATION = CHECKOUT / "export" / "evaluation" / "evaluation_prompts.jsonl"
# Most prompts are short and some are longer than any window: the lengths go up by a third each time.
MIXED_TOKENS = (8, 11, 15, 20, 27, 36, 48, 64, 85, 113, 151, 201, 256)


class _Prompt(msgspec.Struct):
    text: str


def prompts_of(tokenizer: Tokenizer, lengths: tuple[int, ...], count: int) -> list[str]:
    """Return `count` texts whose tokens, special ones included, are `lengths` in turn, or a word fewer."""
    words = _words()
    return [_text(tokenizer, words, tokens) for tokens in itertools.islice(itertools.cycle(lengths), count)]


def text_of_bytes(size: int) -> str:
    """Return a text of `size` bytes."""
    words = _words()
    text = ""
    while len(text) < size:
        text += next(words) + " "
    return text[:size]


def _words() -> Iterator[str]:
    prompts = [msgspec.json.decode(line, type=_Prompt).text for line in EVALUATION.read_bytes().splitlines()]
    ascii_only = [prompt for prompt in prompts if prompt.isascii()]
    return itertools.chain.from_iterable(prompt.split() for prompt in itertools.cycle(ascii_only))


def _text(tokenizer: Tokenizer, words: Iterator[str], tokens: int) -> str:
    text = next(words)
    while True:
        longer = f"{text} {next(words)}"
        if len(tokenizer.encode(longer).ids) > tokens:
            return text
        text = longer


def write_input(prompts: list[str], file: Path) -> Path:
    """Write perf_analyzer's --input-data; it asks them in turn."""
    file.write_bytes(encode_input(prompts))
    return file


def encode_input(prompts: list[str]) -> bytes:
    return msgspec.json.encode({"data": [{"text": [prompt]} for prompt in prompts]})


if __name__ == "__main__":
    newest = load_tokenizer(newest_version(CHECKOUT / "model_repository" / "reasoning_classifier"))
    document = encode_input(prompts_of(newest, MIXED_TOKENS, 4 * len(MIXED_TOKENS)))
    sys.stdout.buffer.write(msgspec.json.format(document, indent=1) + b"\n")
