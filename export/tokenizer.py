"""The tokenizer a bundle carries: the checkpoint's own, without its cutting and padding, which `clip_text` does."""

from pathlib import Path

from tokenizers import Tokenizer

from .errors import CheckpointUnavailable, CheckpointUnsupported
from .inference import read_tokenizer
from .third_party import quiet_libraries


def load_tokenizer(checkpoint: Path) -> Tokenizer:
    """Load tokenizer.json of the checkpoint, or convert the slow tokenizer it has instead."""
    file = checkpoint / "tokenizer.json"
    tokenizer = read_tokenizer(file) if file.is_file() else _convert(checkpoint)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _convert(checkpoint: Path) -> Tokenizer:
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds, and `--help` must not need it

    try:
        with quiet_libraries():
            fast = AutoTokenizer.from_pretrained(  # type: ignore[no-untyped-call]  # transformers leaves it so
                checkpoint, use_fast=True, local_files_only=True
            )
    except (OSError, ValueError) as exc:
        raise CheckpointUnavailable(str(checkpoint), f"no tokenizer: {str(exc).splitlines()[0]}") from exc
    if not fast.is_fast:
        raise CheckpointUnsupported(str(checkpoint), "its tokenizer cannot be written as tokenizer.json")
    return Tokenizer.from_str(fast.backend_tokenizer.to_str())
