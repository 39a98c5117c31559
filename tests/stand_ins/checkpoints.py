"""Small random Hugging Face classifiers with a real tokenizer, for production code to export."""

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from export.bundle.check_prompts import check_prompts
from export.classifier.third_party import quiet_libraries

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 600
LABELS = {0: "non-reasoning", 1: "reasoning"}


def train_tokenizer(vocabulary: int = VOCABULARY) -> Tokenizer:
    """Make a WordPiece tokenizer of the check prompts, with the truncation real checkpoints leave switched on.

    Its pieces are characters and the most used words: those of the library's trainer differ from process to process.
    """
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(
        word for text in check_prompts() for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    used = Counter(character for word in words.elements() for character in word)
    characters = sorted(used, key=lambda character: (-used[character], character))[: vocabulary // 4]
    frequent = sorted(words, key=lambda word: (-words[word], word))
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *characters, *(f"##{each}" for each in characters), *frequent])
    tokenizer = Tokenizer(
        models.WordPiece({piece: index for index, piece in enumerate([*pieces][:vocabulary])}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer


def make_modernbert(labels: dict[int, str], seed: int = 0) -> Any:
    """Return a random two-layer ModernBERT with one local and one global attention layer."""
    with quiet_libraries():
        from transformers import ModernBertConfig, ModernBertForSequenceClassification

    torch.manual_seed(seed)
    return ModernBertForSequenceClassification(
        ModernBertConfig(
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            local_attention=32,
            global_attn_every_n_layers=2,
            classifier_pooling="mean",
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            cls_token_id=2,
            sep_token_id=3,
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
    )


def make_bert(labels: dict[int, str], max_tokens: int = 128) -> Any:
    """Return a random two-layer BERT that takes at most `max_tokens`."""
    with quiet_libraries():
        from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(1)
    return BertForSequenceClassification(
        BertConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=max_tokens,
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
    )


def save_checkpoint(model: Any, tokenizer: Tokenizer, directory: Path) -> Path:
    model.save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory
