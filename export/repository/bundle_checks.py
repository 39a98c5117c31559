"""Everything that must hold before a bundle is installed, tried out in this process and not in the server's."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from export.classifier.inference import Classifier, classify, open_classifier, run_logits
from export.errors import BundleRejected, GraphUnusable, TokenizerUnusable
from export.evaluation.dress_gate import objection_to_dress
from routing_policy.bundle import Bundle
from routing_policy.errors import BundleInvalid
from routing_policy.policy_checks import label_problems
from routing_policy.policy_file import load_policy

# fp16 on a GPU and int8 on another CPU move a score by some thousandths; other weights move it by tenths.
CANARY_TOLERANCE = 0.02
RANK = 2  # of every tensor: [batch, length] in, [batch, labels] out
SERVABLE_INPUTS = ({"input_ids", "attention_mask"}, {"input_ids", "attention_mask", "token_type_ids"})


def check_bundle(directory: Path) -> Bundle:
    """Return the bundle in `directory` if it can be served; raises BundleRejected with the first reason it cannot."""
    try:
        classifier = open_classifier(directory)
        reason = first_objection(classifier)
    except (BundleInvalid, GraphUnusable, TokenizerUnusable) as exc:
        raise BundleRejected(str(directory), str(exc)) from exc
    if reason:
        raise BundleRejected(str(directory), reason)
    return classifier.bundle


def check_policy(directory: Path, labels: list[str], classifier: str, file: Path) -> None:
    """Raise BundleRejected when the policy in `file` is decided by `classifier` and needs a label it would lack."""
    policy = load_policy(file)
    if policy.classifier == classifier and (problems := label_problems(policy, labels)):
        raise BundleRejected(str(directory), str(problems[0]))


def first_objection(classifier: Classifier) -> str | None:
    """Return why the graph, the tokenizer and bundle.json do not belong together, or None."""
    bundle, session = classifier.bundle, classifier.session
    return (
        _objection_to_inputs(bundle, session.get_inputs())
        or _objection_to_output(bundle, session.get_outputs())
        or _objection_to_tokenizer(classifier.tokenizer, session)
        or _objection_to_lengths(bundle, session)
        or _objection_to_scores(classifier)
        or objection_to_dress(classifier)
    )


def _objection_to_inputs(bundle: Bundle, inputs: list[Any]) -> str | None:
    names = [tensor.name for tensor in inputs]
    if sorted(names) != sorted(bundle.inputs):
        return f"model.onnx: expected the inputs {bundle.inputs} that bundle.json names, got {names}"
    if set(names) not in SERVABLE_INPUTS:
        return f"model.onnx: expected input_ids and attention_mask, with or without token_type_ids, got {names}"
    for tensor in inputs:
        if tensor.type != "tensor(int64)" or not _is_dynamic(tensor.shape):
            return (
                f"model.onnx: input {tensor.name}: expected int64 [batch, length] with both free,"
                f" got {tensor.type} {tensor.shape}"
            )
    return None


def _objection_to_output(bundle: Bundle, outputs: list[Any]) -> str | None:
    if [tensor.name for tensor in outputs] != [bundle.output]:
        return f"model.onnx: expected the one output {bundle.output!r}, got {[tensor.name for tensor in outputs]}"
    output = outputs[0]
    if output.type != "tensor(float)" or len(output.shape) != RANK or isinstance(output.shape[0], int):
        return f"model.onnx: output {output.name}: expected float32 [batch, labels], got {output.type} {output.shape}"
    if output.shape[1] != len(bundle.labels):
        return f"model.onnx: expected one output for each of the labels {bundle.labels}, got {output.shape[1]}"
    return None


def _objection_to_tokenizer(tokenizer: Tokenizer, session: Any) -> str | None:
    if tokenizer.truncation is not None or tokenizer.padding is not None:
        return "tokenizer.json: truncation and padding must be off, as texts are cut and padded elsewhere"
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    try:
        run_logits(session, [[largest, largest]], 2)
    except GraphUnusable:
        return f"tokenizer.json: its largest token id {largest} is outside the embedding table of model.onnx"
    return None


def _objection_to_lengths(bundle: Bundle, session: Any) -> str | None:
    for bucket in bundle.buckets:
        try:
            logits = run_logits(session, [[1] * bucket, [1]], bucket)
        except GraphUnusable as exc:
            return f"model.onnx: does not run at {bucket} tokens: {exc.reason}"
        if not np.isfinite(logits).all():
            return f"model.onnx: gives {logits.tolist()} at {bucket} tokens"
    return None


def _objection_to_scores(classifier: Classifier) -> str | None:
    """Compare the canaries' scores: a tokenizer with other ids runs as well as the right one, and means nothing."""
    canaries = classifier.bundle.canaries
    if not canaries:
        return "bundle.json: $.canaries: expected texts with their scores, as nothing else shows that the files match"
    # One by one, as they were scored: an int8 graph scales its activations by what else is in the batch.
    rows = classify(classifier, [canary.text for canary in canaries], batch_size=1)
    labels = classifier.bundle.labels
    for (canary, row), label in itertools.product(zip(canaries, rows, strict=True), labels):
        expected, actual = canary.scores.get(label), float(row[labels.index(label)])
        if expected is None or not abs(actual - expected) <= CANARY_TOLERANCE:
            found = f"canary {canary.text!r}: expected {label} {expected}, got {actual:.4f}"
            return f"tokenizer.json does not match the graph model.onnx, or neither is the one described: {found}"
    return None


def _is_dynamic(shape: list[Any]) -> bool:
    return len(shape) == RANK and not any(isinstance(size, int) for size in shape)
