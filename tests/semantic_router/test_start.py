"""What the model says at start, and how it refuses to start: in Triton's log, in one line."""

import pytest

from local.errors import StartFailed
from tests.conftest import CHECKOUT

from .conftest import POLICY, MakeRouter, RouterModel

RULES = (CHECKOUT / "configs" / "semantic-router.yaml").read_text(encoding="utf-8")


def log_of(router: RouterModel) -> str:
    return router.server.log.read_text(encoding="utf-8")


def test_the_log_names_the_onnx_classifier_in_the_guides_words(router: RouterModel) -> None:
    assert "Initialized ONNX classifier with 2 labels, max_len=64" in log_of(router)
    assert "Semantic router initialized" in log_of(router)


def test_the_keyword_classifier_serves_without_the_onnx_model(make_router: MakeRouter) -> None:
    router = make_router(SEMROUTER_CLASSIFIER="keyword")

    decision = router.decide_one("Prove that the square root of 2 is irrational.")

    assert (decision.target, decision.classifier.name, decision.tokens_seen) == ("big", "keyword", None)
    assert router.decide_one("What is the capital of France?").target == "small"
    assert "Initialized MockClassifier (binary_mode=true)" in log_of(router)
    assert "Semantic router initialized with MockClassifier" in log_of(router)


def test_the_guides_rules_file_serves_on_the_keyword_classifier(make_router: MakeRouter) -> None:
    router = make_router(RULES, SEMROUTER_CLASSIFIER="keyword")

    reasoning, general = router.decide("Please calculate this", "What is the capital of France?")

    assert (reasoning.target, reasoning.rule) == ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 0)
    assert (general.target, general.rule) == ("meta-llama/Meta-Llama-3.1-8B-Instruct", 2)
    assert "Initialized MockClassifier (binary_mode=false)" in log_of(router)


def test_the_environment_can_shorten_what_is_seen(make_router: MakeRouter) -> None:
    router = make_router(SEMROUTER_MAX_LENGTH="16")

    assert router.decide_one("easy " * 40).tokens_seen == 16


def test_a_policy_without_effect_in_places_is_warned_about(make_router: MakeRouter) -> None:
    router = make_router(POLICY.replace("0.6", "0.4"))

    assert "$.threshold_min_conf: 0.4 never abstains" in log_of(router)


@pytest.mark.parametrize(
    ("policy", "variables", "message"),
    [
        pytest.param("", {}, "policy.yaml: $: is empty; expected a mapping", id="empty policy"),
        pytest.param(POLICY.replace("0.6", "1.4"), {}, "$.threshold_min_conf: expected float <= 1.0", id="1.4"),
        pytest.param(
            RULES.replace("weights:", "classifier: reasoning_classifier\nweights:"),
            {},
            "expected a label of reasoning_classifier",
            id="unknown label",
        ),
        pytest.param(
            POLICY, {"SEMROUTER_CONFIG": "/absent.yaml"}, "/absent.yaml: $: cannot be read", id="missing file"
        ),
        pytest.param(POLICY, {"SEMROUTER_MAX_LENGTH": "many"}, "max_length", id="unreadable length"),
        pytest.param(POLICY, {"SEMROUTER_CLASSIFIER": "absent"}, "absent is not ready", id="no such classifier"),
    ],
)
def test_a_model_that_cannot_serve_does_not_start(
    make_router: MakeRouter, policy: str, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(StartFailed) as refused:
        make_router(policy, **variables)

    assert message in str(refused.value)
