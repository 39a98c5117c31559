"""A ModernBERT classifier with random weights: as fast as a trained one, and as exact."""

import json
from pathlib import Path

import msgspec

from benchmarks.instruments.in_process import newest_version
from benchmarks.table.machine import CHECKOUT
from export.bundle.check_prompts import TokenizedPrompts, check_prompts, tokenize_prompts
from export.bundle.checkpoints import load_tokenizer
from export.classifier.third_party import quiet_libraries

BUCKETS = [32, 64, 128, 256]
_CHECKED_PROMPTS = 16
_TOKENIZER = CHECKOUT / "model_repository" / "reasoning_classifier"
_LABELS = {0: "non-reasoning", 1: "reasoning"}
_DECISIVE = 2.0  # a bias that gives every prompt one label, so that rounding alone never changes it


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What a config.json says of a ModernBERT's matrices."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int


BASE = Sizes(hidden_size=768, intermediate_size=1152, num_hidden_layers=22, num_attention_heads=12)
TINY = Sizes(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)


def write_random(directory: Path, sizes: Sizes = BASE) -> Path:
    """Write a checkpoint of these sizes with the tokenizer of the bundled classifier."""
    tokenizer = load_tokenizer(newest_version(_TOKENIZER))
    with quiet_libraries():
        from transformers import ModernBertConfig, ModernBertForSequenceClassification

        config = ModernBertConfig(id2label=_LABELS, label2id={name: index for index, name in _LABELS.items()})
        config.update({**msgspec.to_builtins(sizes), "vocab_size": max(config.vocab_size, tokenizer.get_vocab_size())})
        model = ModernBertForSequenceClassification(config)
        model.classifier.bias.data[0] = _DECISIVE
        model.save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def choose_prompts(directory: Path) -> TokenizedPrompts:
    """Take check prompts of every length, few enough for a model of this size."""
    every = check_prompts()
    texts = every[:: max(len(every) // _CHECKED_PROMPTS, 1)]
    return tokenize_prompts(load_tokenizer(directory), texts, BUCKETS)


def read_sizes(directory: Path) -> Sizes:
    return msgspec.convert(json.loads((directory / "config.json").read_bytes()), Sizes)


def flops_of_sequence(sizes: Sizes, tokens: int) -> float:
    """Count what the matrices of all layers do to a sequence, two operations for each multiplication and addition.

    layers x (2 x tokens x (4 x hidden² + 3 x hidden x intermediate) + 4 x tokens² x hidden): queries, keys, values and
    output; the gated MLP; scores and their sums over all pairs of tokens, which local layers compute too and mask.
    """
    hidden, inner = sizes.hidden_size, sizes.intermediate_size
    matrices = 2 * tokens * (4 * hidden**2 + 3 * hidden * inner)
    return float(sizes.num_hidden_layers * (matrices + 4 * tokens**2 * hidden))
