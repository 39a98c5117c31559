"""Prompts as tensors: cut as the server cuts them, and grouped by length so that short ones cost little."""

import random
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from routing_policy.clipping import clip_text

POOL_PROMPTS = 4000  # prompts sorted by length together: enough to pad little, few enough to keep batches mixed
LARGEST_BATCH = 128
LEAST_BATCHES = 16

Batch = tuple[torch.Tensor, torch.Tensor]


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    return [clip_text(tokenizer, text, max_tokens).ids for text in texts]


def grouped(ids: Sequence[Sequence[int]], tokens: int, rng: random.Random | None = None) -> list[list[int]]:
    """Return row numbers in batches of at most `tokens` padded tokens; `rng` shuffles rows and batches.

    A small set gets smaller batches, so that a pass over it is still some steps of learning.
    """
    tokens = min(tokens, sum(map(len, ids)) // LEAST_BATCHES + 1)
    order = list(range(len(ids)))
    if rng is not None:
        rng.shuffle(order)
    batches = [
        batch
        for start in range(0, len(order), POOL_PROMPTS)
        for batch in _packed(sorted(order[start : start + POOL_PROMPTS], key=lambda row: len(ids[row])), ids, tokens)
    ]
    if rng is not None:
        rng.shuffle(batches)
    return batches


def padded(ids: Sequence[Sequence[int]]) -> Batch:
    """Return int64 ids and mask [batch, longest]; padding is id 0, masked."""
    longest = max(len(row) for row in ids)
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for index, row in enumerate(ids):
        tokens[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return tokens, mask


def _packed(rows: list[int], ids: Sequence[Sequence[int]], tokens: int) -> list[list[int]]:
    batches: list[list[int]] = [[]]
    for row in rows:  # ascending lengths: this row's is the batch's padded length
        full = (len(batches[-1]) + 1) * len(ids[row]) > tokens or len(batches[-1]) >= LARGEST_BATCH
        if full and batches[-1]:
            batches.append([])
        batches[-1].append(row)
    return [batch for batch in batches if batch]
