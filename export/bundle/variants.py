"""Smaller or faster copies of an fp32 graph, each behind a gate that refuses one that judges differently."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np
import onnx

from export.classifier.inference import Logits, logits_in_buckets, open_session
from export.errors import GateFailed
from routing_policy.scoring import ProblemType, scores_from_logits

from .check_prompts import TokenizedPrompts
from .fusion import fuse_attention
from .quantisation import Int8Method, quantise_graph

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DEFAULT_PRECISION: Precision = "int8"


# From the fastest to the closest to fp32: 5, 6, 8, 10 and 12 ms for 64 tokens in a 6-layer, 384-wide BERT on one core.
INT8_METHODS = (
    Int8Method(),
    Int8Method(per_token=True),
    *(Int8Method(per_token=True, blockwise_share=share) for share in (1 / 3, 2 / 3, 1.0)),
)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """How far a variant may be from the fp32 graph on the check prompts."""

    min_agreement: float  # share of prompts whose top label stays the same
    max_score_change: float  # largest change of any score


GATES: dict[Precision, Gate] = {
    "fp32": Gate(min_agreement=1.0, max_score_change=1e-6),
    "fp16": Gate(min_agreement=0.99, max_score_change=0.02),
    "int8": Gate(min_agreement=0.97, max_score_change=0.10),
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant's scores differ from the fp32 graph's over a set of prompts, batched and alone."""

    prompts: int
    agreement: float
    largest_score_change: float
    method: Int8Method | None = None  # of an int8 variant


def write_variant(
    graph: Path, variant: Path, precision: Precision, prompts: TokenizedPrompts, *, problem_type: ProblemType
) -> Change:
    """Write `graph` as `precision` to `variant` and return how it differs; raises GateFailed where that is too much.

    int8 is tried in the fastest way first.
    """
    reference = logits_in_buckets(open_session(graph), prompts.ids, prompts.buckets, batch_size=8)
    for method in INT8_METHODS if precision == "int8" else (None,):
        onnx.save(_convert(graph, precision, method), variant)
        session = open_session(variant)
        layouts = [logits_in_buckets(session, prompts.ids, prompts.buckets, batch_size=size) for size in (8, 1)]
        change = score_change(reference, layouts, problem_type)
        if objection(precision, change, GATES[precision]) is None:
            break
    require_gate(precision, change, GATES[precision])
    return msgspec.structs.replace(change, method=method)


def score_change(reference: Logits, layouts: Sequence[Logits], problem_type: ProblemType) -> Change:
    """Compare the scores two graphs give the same prompts; all logits are [prompts, labels]."""
    before = scores_from_logits(reference, 1.0, problem_type)
    after = np.stack([scores_from_logits(logits, 1.0, problem_type) for logits in layouts])
    gaps = np.abs(after - before)
    return Change(
        prompts=len(before),
        agreement=float((before.argmax(axis=-1) == after.argmax(axis=-1)).mean()),
        largest_score_change=float(np.where(np.isnan(gaps), np.inf, gaps).max()),
    )


def require_gate(precision: Precision, change: Change, gate: Gate) -> None:
    failure = objection(precision, change, gate)
    if failure is not None:
        raise failure


def objection(precision: Precision, change: Change, gate: Gate) -> GateFailed | None:
    """Return what a gate has against a variant that changes so much."""
    if change.agreement < gate.min_agreement:
        return GateFailed(precision, "share of prompts with the same top label", change.agreement, gate.min_agreement)
    if change.largest_score_change > gate.max_score_change:
        return GateFailed(precision, "largest change of a score", change.largest_score_change, gate.max_score_change)
    return None


def _convert(graph: Path, precision: Precision, method: Int8Method | None) -> onnx.ModelProto:
    """Return the variant: fp32 keeps the standard operators, the others use ONNX Runtime's own where they fit."""
    model = onnx.load(graph)
    if precision == "fp32":
        return model
    fuse_attention(model)
    if method is None:
        return to_fp16(model)
    quantise_graph(model, method)
    return model


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights and compute in float16; inputs stay int64 and the output stays float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one per constant too small for float16: the gate judges what it did
        half: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return half
