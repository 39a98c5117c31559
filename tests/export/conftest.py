"""Small random classifiers with real tokenizers, exported by production code once for the whole folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from export.bundling import BundleOptions, build_bundle, write_bundle_file
from export.checkpoints import locate_checkpoint
from export.prompts import check_prompts
from export.third_party import quiet_libraries
from routing_policy.bundle import BUNDLE_FILE, Bundle, bundle_revision, file_sha256

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 600
LABELS = {0: "non-reasoning", 1: "reasoning"}


def train_tokenizer(vocabulary: int) -> Tokenizer:
    """Train a WordPiece tokenizer on the check prompts, with the truncation real checkpoints leave switched on."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=SPECIAL_TOKENS, show_progress=False)
    tokenizer.train_from_iterator(check_prompts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(VOCABULARY)


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Callable[..., Path]:
    """Return a function that saves a model with the tokenizer and returns the folder."""

    def save(model: Any) -> Path:
        directory = tmp_path_factory.mktemp("checkpoint")
        model.save_pretrained(directory)
        tokenizer.save(str(directory / "tokenizer.json"))
        return directory

    return save


def make_modernbert(labels: dict[int, str], seed: int = 0) -> Any:
    """Return a random two-layer ModernBERT with one local and one global attention layer."""
    with quiet_libraries():
        from transformers import ModernBertConfig, ModernBertForSequenceClassification  # noqa: PLC0415 - warns

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


def make_bert(labels: dict[int, str]) -> Any:
    """Return a random two-layer BERT that takes at most 128 tokens."""
    with quiet_libraries():
        from transformers import BertConfig, BertForSequenceClassification  # noqa: PLC0415 - warns

    torch.manual_seed(1)
    return BertForSequenceClassification(
        BertConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
    )


@pytest.fixture(scope="session")
def modernbert(save_checkpoint: Callable[..., Path]) -> Path:
    return save_checkpoint(make_modernbert(LABELS))


@pytest.fixture(scope="session")
def bert(save_checkpoint: Callable[..., Path]) -> Path:
    return save_checkpoint(make_bert(LABELS))


@pytest.fixture(scope="session")
def built_bundle(modernbert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the ModernBERT as an fp32 bundle; tests only read it."""
    directory = tmp_path_factory.mktemp("bundle")
    build_bundle(locate_checkpoint(str(modernbert)), directory, BundleOptions(precision="fp32"))
    return directory


@pytest.fixture
def bundle(built_bundle: Path, tmp_path: Path) -> Path:
    """Copy the bundle for a test to change."""
    return Path(shutil.copytree(built_bundle, tmp_path / "bundle"))


@pytest.fixture
def reseal() -> Callable[..., Bundle]:
    """Return a function that makes bundle.json agree with changed files, so that only the change itself can object."""

    def write(directory: Path, **changes: Any) -> Bundle:
        content = json.loads((directory / BUNDLE_FILE).read_text())
        content |= {"files": {name: file_sha256(directory / name) for name in content["files"]}, **changes}
        content["revision"] = bundle_revision(content["files"], content["labels"], content["temperature"])
        bundle = msgspec.convert(content, Bundle)
        write_bundle_file(directory, bundle)
        return bundle

    return write


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "model_repository"
    directory.mkdir()
    return directory
