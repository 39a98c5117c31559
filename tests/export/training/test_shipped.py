"""The classifiers in the repository, as they ship: they route the guide's examples, which are kept out of training."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from export.classifier.inference import Classifier, classify, logits_in_buckets, open_classifier
from export.repository.bundle_checks import check_bundle
from routing_policy.clipping import clip_text
from routing_policy.decision import decide
from routing_policy.policy_file import load_policy

CHECKOUT = Path(__file__).parents[3]
LARGEST_BUNDLE_BYTES = 30 * 1024 * 1024
REASONING = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
GENERAL = "meta-llama/Meta-Llama-3.1-8B-Instruct"
CODER = "deepseek-ai/DeepSeekCoder-V2-Lite-Instruct"
LABELS = {
    "reasoning_classifier": ["non-reasoning", "reasoning"],
    "topic_classifier": ["math", "code", "reasoning", "general"],
}
POLICIES = {
    "reasoning_classifier": "semantic-router-binary.yaml",
    "topic_classifier": "semantic-router.yaml",
}


REPOSITORY = CHECKOUT / "model_repository"
SHIPPED = sorted(version for name in LABELS for version in (REPOSITORY / name).glob("[0-9]*"))


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda version: f"{version.parent.name}/{version.name}")
def version(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def classifier(version: Path) -> Classifier:
    return open_classifier(version, threads=1)


def test_every_classifier_ships() -> None:
    assert {version.parent.name for version in SHIPPED} == set(LABELS)


def test_a_shipped_bundle_is_whole_and_small(version: Path, classifier: Classifier) -> None:
    files = list(version.iterdir())

    assert classifier.bundle.labels == LABELS[version.parent.name]
    assert sorted(file.name for file in files) == ["bundle.json", "model.onnx", "tokenizer.json"]
    assert sum(file.stat().st_size for file in files) <= LARGEST_BUNDLE_BYTES


def test_a_shipped_bundle_passes_the_checks_of_an_installation(version: Path) -> None:
    assert check_bundle(version).labels == LABELS[version.parent.name]


@pytest.mark.parametrize(
    ("classifier_name", "text", "target"),
    [
        ("reasoning_classifier", "Prove that the square root of 2 is irrational. Show each step.", REASONING),
        ("reasoning_classifier", "Prove sqrt(2) is irrational", REASONING),
        ("reasoning_classifier", "What is the capital of France?", GENERAL),
        ("reasoning_classifier", "What is 2+2?", GENERAL),
        ("topic_classifier", "Prove that the square root of 2 is irrational. Show each step.", REASONING),
        ("topic_classifier", "Prove sqrt(2) is irrational", REASONING),
        ("topic_classifier", "What is the capital of France?", GENERAL),
        ("topic_classifier", "Write a Python function that parses a CSV file and handles quoted fields", CODER),
    ],
)
def test_the_guides_examples_go_where_the_guide_sends_them(classifier_name: str, text: str, target: str) -> None:
    policy = load_policy(CHECKOUT / "configs" / POLICIES[classifier_name])

    for version in (REPOSITORY / classifier_name).glob("[0-9]*"):
        classifier = open_classifier(version, threads=1)
        scores = dict(zip(classifier.bundle.labels, classify(classifier, [text])[0], strict=True))
        decision = decide(policy, scores)

        assert (decision.target.model, not decision.rationale.startswith("abstain")) == (target, True), version


def test_canaries_get_the_scores_the_bundle_states(classifier: Classifier) -> None:
    canaries = classifier.bundle.canaries

    scores = classify(classifier, [canary.text for canary in canaries], batch_size=1)

    stated = [[canary.scores[label] for label in classifier.bundle.labels] for canary in canaries]
    assert_allclose(scores, stated, atol=0.02)  # another CPU's kernels round differently


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hi", id="one word"),
        pytest.param("Tom is twice as old as Ana was when Tom was as old as Ana is now. " * 3, id="a paragraph"),
        pytest.param("समझाइए कि आकाश नीला क्यों है", id="Hindi"),
        pytest.param("请证明任意两个奇数之和是偶数", id="Chinese"),
    ],
)
def test_padding_does_not_change_the_scores(classifier: Classifier, text: str) -> None:
    bundle = classifier.bundle
    ids = clip_text(classifier.tokenizer, text, bundle.max_length).ids

    alone = logits_in_buckets(classifier.session, [ids], [len(ids)], batch_size=1)
    in_buckets = [logits_in_buckets(classifier.session, [ids], [bucket], 1) for bucket in bundle.buckets[1:]]

    for padded in in_buckets:
        assert_allclose(padded, alone, atol=0.1)
    assert np.isfinite(alone).all()
