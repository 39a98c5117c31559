"""From a checkpoint to a bundle: export, check against PyTorch, make the precision variant, write down what it is."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from tokenizers import Tokenizer

from export.classifier.inference import logits_in_buckets, open_session, read_tokenizer
from routing_policy.bundle import (
    BUNDLE_FILE,
    MODEL_FILE,
    TOKENIZER_FILE,
    Bundle,
    Canary,
    bundle_revision,
    file_sha256,
)
from routing_policy.clipping import clip_text
from routing_policy.scoring import ProblemType, scores_from_logits

from .check_prompts import check_prompts, gate_prompts, tokenize_prompts
from .checkpoints import Checkpoint, load_tokenizer, read_classifier_config
from .onnx_export import export_graph, exporter_versions
from .parity import check_parity
from .variants import DEFAULT_PRECISION, Precision, write_variant

DEFAULT_MAX_LENGTH = 256
PARITY_PROMPTS = 50  # of the caller's: PyTorch reads each alone, which takes long with a large model
BUCKETS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
CANARY_TEXTS = (
    "What is the capital of France?",
    "Write a short birthday card for my neighbour.",
    "Prove that the sum of two odd numbers is even.",
    "Implement a binary search tree with deletion and explain its worst case.",
    "¿Cuántas formas hay de repartir 10 caramelos entre 4 niños?",
)


class BundleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller decides about a bundle."""

    precision: Precision = DEFAULT_PRECISION
    max_length: int = DEFAULT_MAX_LENGTH
    temperature: float = 1.0
    labels: list[str] | None = None  # instead of the ones config.json names
    figures: dict[str, Any] = {}
    prompts: list[str] = []  # to check the graph on, before the ones that ship


class BundleParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says beyond its two files."""

    labels: list[str]
    problem_type: ProblemType
    max_length: int
    temperature: float
    precision: str
    source: dict[str, Any]
    figures: dict[str, Any]


def build_bundle(checkpoint: Checkpoint, destination: Path, options: BundleOptions) -> Bundle:
    """Write model.onnx, tokenizer.json and bundle.json of `checkpoint` into the folder `destination`.

    Raises ParityFailed or GateFailed, with nothing written, when the graph does not repeat the checkpoint closely.
    """
    config = read_classifier_config(checkpoint.directory, options.labels)
    tokenizer = load_tokenizer(checkpoint.directory)
    parts = BundleParts(
        labels=config.labels,
        problem_type=config.problem_type,
        max_length=min(options.max_length, config.max_length),
        temperature=options.temperature,
        precision=options.precision,
        source={**checkpoint.source, "architecture": config.architecture, "exporter": exporter_versions()},
        figures=options.figures,
    )
    with TemporaryDirectory() as folder:
        checked = _write_checked_variant(checkpoint.directory, Path(folder), tokenizer, parts, options)
        destination.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(folder) / MODEL_FILE, destination / MODEL_FILE)
    tokenizer.save(str(destination / TOKENIZER_FILE))
    return describe_bundle(destination, msgspec.structs.replace(parts, figures={**options.figures, **checked}))


def _write_checked_variant(  # noqa: PLR0917 - one step of `build_bundle`
    checkpoint: Path, folder: Path, tokenizer: Tokenizer, parts: BundleParts, options: BundleOptions
) -> dict[str, Any]:
    """Export into `folder`, leave the variant there as model.onnx and return what the checks measured."""
    buckets = buckets_up_to(parts.max_length)
    against_torch = tokenize_prompts(tokenizer, [*check_prompts(), *options.prompts[:PARITY_PROMPTS]], buckets)
    against_fp32 = tokenize_prompts(tokenizer, gate_prompts(options.prompts), buckets)
    graph = folder / "fp32.onnx"
    export_graph(checkpoint, graph)
    parity = check_parity(checkpoint, graph, against_torch)
    change = write_variant(graph, folder / MODEL_FILE, options.precision, against_fp32, problem_type=parts.problem_type)
    return {
        "parity": {"largest_logit_difference": parity.difference, "prompts": len(against_torch.texts)},
        "variant": msgspec.to_builtins(change),
    }


def describe_bundle(directory: Path, parts: BundleParts) -> Bundle:
    """Write bundle.json for the model.onnx and tokenizer.json in `directory`, canaries scored by that very graph."""
    session = open_session(directory / MODEL_FILE)
    files = {name: file_sha256(directory / name) for name in (MODEL_FILE, TOKENIZER_FILE)}
    bundle = Bundle(
        revision=bundle_revision(files, parts.labels, parts.temperature),
        labels=parts.labels,
        problem_type=parts.problem_type,
        max_length=parts.max_length,
        buckets=buckets_up_to(parts.max_length),
        temperature=parts.temperature,
        inputs=[graph_input.name for graph_input in session.get_inputs()],
        output=session.get_outputs()[0].name,
        files=files,
        source=parts.source,
        precision=parts.precision,
        canaries=_canaries(session, read_tokenizer(directory / TOKENIZER_FILE), parts),
        figures=parts.figures,
    )
    write_bundle_file(directory, bundle)
    return bundle


def write_bundle_file(directory: Path, bundle: Bundle) -> None:
    content = msgspec.json.format(msgspec.json.encode(bundle), indent=1)
    (directory / BUNDLE_FILE).write_bytes(content + b"\n")


def buckets_up_to(max_length: int) -> list[int]:
    """Return the pad lengths below `max_length`, and `max_length` itself as the last one."""
    return [*(bucket for bucket in BUCKETS if bucket < max_length), max_length]


def _canaries(session: Any, tokenizer: Tokenizer, parts: BundleParts) -> list[Canary]:
    ids = [clip_text(tokenizer, text, parts.max_length).ids for text in CANARY_TEXTS]
    logits = logits_in_buckets(session, ids, buckets_up_to(parts.max_length), batch_size=1)
    rows = scores_from_logits(logits, parts.temperature, parts.problem_type)
    return [
        Canary(text=text, scores=dict(zip(parts.labels, (round(float(score), 6) for score in row), strict=True)))
        for text, row in zip(CANARY_TEXTS, rows, strict=True)
    ]
