"""Does the exported graph answer as the PyTorch model does, padded, unpadded and in mixed batches?"""

from pathlib import Path

import msgspec
import numpy as np

from export.classifier.inference import Logits, logits_in_buckets, open_session, run_logits
from export.classifier.third_party import quiet_libraries
from export.errors import ParityFailed

from .check_prompts import TokenizedPrompts

# fp32 graphs of ModernBERT-base differ from PyTorch by some 1e-5; anything real is orders of magnitude larger.
TOLERANCE = 1e-3


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The largest difference of a logit over all prompts and layouts, and the prompt that shows it."""

    difference: float
    text: str


def check_parity(checkpoint: Path, graph: Path, prompts: TokenizedPrompts) -> Parity:
    """Compare `graph` with the PyTorch model; raises ParityFailed over the tolerance."""
    session = open_session(graph)
    ids, buckets = prompts.ids, prompts.buckets
    reference = torch_logits(checkpoint, ids)
    layouts = [
        np.concatenate([run_logits(session, [row], len(row)) for row in ids]),
        logits_in_buckets(session, ids, buckets, batch_size=1),
        logits_in_buckets(session, ids, buckets, batch_size=8),
    ]
    ends = shortest_and_longest(ids)
    mixed = run_logits(session, [ids[index] for index in ends], buckets[-1])
    worst = max(
        largest_difference(reference, layouts, prompts.texts),
        largest_difference(reference[ends], [mixed], [prompts.texts[index] for index in ends]),
        key=lambda parity: parity.difference,
    )
    require_parity(worst, TOLERANCE)
    return worst


def shortest_and_longest(ids: list[list[int]], each: int = 4) -> list[int]:
    """Return the positions of the shortest and the longest rows: the batch in which padding differs most."""
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    return [*order[:each], *order[each:][-each:]]


def largest_difference(reference: Logits, layouts: list[Logits], texts: list[str]) -> Parity:
    """Return the largest absolute difference of any layout from `reference` [texts, labels]; NaN counts as infinite."""
    gaps = np.max([np.abs(layout - reference).max(axis=-1) for layout in layouts], axis=0)
    gaps = np.where(np.isnan(gaps), np.inf, gaps)
    worst = int(gaps.argmax())
    return Parity(difference=float(gaps[worst]), text=texts[worst])


def require_parity(parity: Parity, tolerance: float) -> None:
    if parity.difference > tolerance:
        raise ParityFailed(parity.difference, tolerance, parity.text)


def torch_logits(checkpoint: Path, ids: list[list[int]]) -> Logits:
    """Run the checkpoint in PyTorch, each text alone and without padding: the reading every layout must repeat."""
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet_libraries(), torch.inference_mode():
        model = AutoModelForSequenceClassification.from_pretrained(checkpoint, local_files_only=True)
        model = model.to(torch.float32).eval()
        rows = [
            model(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.int64))
            for row in ids
        ]
        return np.concatenate([row.logits.numpy() for row in rows])
