import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from export.bundle.bundling import BundleOptions, buckets_up_to, build_bundle
from export.bundle.check_prompts import check_prompts, gate_prompts, tokenize_prompts
from export.bundle.checkpoints import locate_checkpoint
from export.bundle.variants import Precision
from export.classifier.inference import classify, open_classifier, read_tokenizer
from routing_policy.bundle import read_bundle, verify_files
from routing_policy.clipping import clip_text
from tests.conftest import CHECKOUT


def test_a_bundle_says_what_the_checkpoint_is(built_bundle: Path, modernbert: Path) -> None:
    bundle = read_bundle(built_bundle)
    verify_files(built_bundle, bundle)

    assert bundle.labels == ["non-reasoning", "reasoning"]
    assert bundle.problem_type == "single_label_classification"
    assert bundle.inputs == ["input_ids", "attention_mask"]
    assert bundle.output == "logits"
    assert bundle.max_length == 256
    assert bundle.buckets == [32, 64, 128, 256]
    assert bundle.source["checkpoint"] == modernbert.name
    assert bundle.source["architecture"] == "modernbert"


def test_a_bundle_lies_in_its_directory_and_nothing_else_does(built_bundle: Path) -> None:
    assert sorted(entry.name for entry in built_bundle.iterdir()) == ["bundle.json", "model.onnx", "tokenizer.json"]


def test_canaries_carry_the_scores_the_graph_gives(built_bundle: Path) -> None:
    classifier = open_classifier(built_bundle)

    scores = classify(classifier, [canary.text for canary in classifier.bundle.canaries])

    assert len(scores) >= 4
    for canary, row in zip(classifier.bundle.canaries, scores, strict=True):
        assert canary.scores == pytest.approx(dict(zip(classifier.bundle.labels, row, strict=True)), abs=1e-5)


def test_the_tokenizer_neither_cuts_nor_pads(built_bundle: Path) -> None:
    tokenizer = Tokenizer.from_file(str(built_bundle / "tokenizer.json"))

    clipped = clip_text(tokenizer, "prime number " * 70, 64)

    assert tokenizer.encode("hi").ids[0] == clipped.ids[0]
    assert tokenizer.encode("hi").ids[-1] == clipped.ids[-1]
    assert len(tokenizer.encode("hi").ids) < 10
    assert len(clipped.ids) == 64
    assert clipped.tokens_total is not None
    assert clipped.tokens_total > 140


def test_a_bert_takes_the_same_two_inputs_and_keeps_its_short_limit(bert: Path, tmp_path: Path) -> None:
    bundle = build_bundle(locate_checkpoint(str(bert)), tmp_path, BundleOptions(precision="int8"))

    assert bundle.inputs == ["input_ids", "attention_mask"]
    assert bundle.max_length == 128
    assert bundle.buckets == [32, 64, 128]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_passes_its_gate_and_keeps_the_interface(
    precision: Precision, modernbert: Path, tmp_path: Path
) -> None:
    bundle = build_bundle(locate_checkpoint(str(modernbert)), tmp_path, BundleOptions(precision=precision))

    session = open_classifier(tmp_path).session
    assert bundle.precision == precision
    assert [(tensor.name, tensor.type) for tensor in session.get_inputs()] == [
        ("input_ids", "tensor(int64)"),
        ("attention_mask", "tensor(int64)"),
    ]
    assert [(tensor.name, tensor.type) for tensor in session.get_outputs()] == [("logits", "tensor(float)")]


def test_the_gate_looks_at_a_thousand_prompts_of_every_length() -> None:
    shipped = read_tokenizer(CHECKOUT / "model_repository" / "reasoning_classifier" / "3" / "tokenizer.json")
    prompts = tokenize_prompts(shipped, gate_prompts(["mine"]), [32, 64, 128, 256])

    lengths = sorted(len(ids) for ids in prompts.ids)
    assert (len(prompts.texts), "mine" in prompts.texts, len(set(prompts.texts))) == (1000, True, 1000)
    assert lengths[0] < 8
    assert lengths[-1] == 256
    assert all(sum(low < length <= low + 64 for length in lengths) >= 10 for low in (0, 64, 128, 192))


def test_more_prompts_than_a_thousand_are_all_used() -> None:
    assert len(gate_prompts([str(number) for number in range(1200)])) == 1200 + len(check_prompts())


def test_what_the_caller_measured_and_chose_is_written_down(modernbert: Path, tmp_path: Path) -> None:
    options = BundleOptions(precision="fp32", temperature=1.7, figures={"accuracy": 0.9}, labels=["easy", "hard"])

    bundle = build_bundle(locate_checkpoint(str(modernbert)), tmp_path, options)

    assert bundle.temperature == 1.7
    assert bundle.labels == ["easy", "hard"]
    assert bundle.figures["accuracy"] == 0.9
    assert bundle.figures["parity"]["largest_logit_difference"] < 1e-3
    assert json.loads((tmp_path / "bundle.json").read_text())["revision"] == bundle.revision


@pytest.mark.parametrize(
    ("max_length", "buckets"),
    [(256, [32, 64, 128, 256]), (200, [32, 64, 128, 200]), (16, [16]), (512, [32, 64, 128, 256, 512])],
)
def test_buckets_end_with_the_limit(max_length: int, buckets: list[int]) -> None:
    assert buckets_up_to(max_length) == buckets
