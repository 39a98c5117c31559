"""The contract of the Triton model `semantic_router`, asked by an ordinary KServe client."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tritonclient.utils import InferenceServerException

from .conftest import RouterModel


@pytest.mark.parametrize(
    ("text", "target", "rationale", "winner", "confidence"),
    [
        pytest.param("hard", "big", "reasoning", "reasoning", 0.9526, id="reasoning"),
        pytest.param("easy", "small", "general", "non-reasoning", 0.9526, id="general"),
        pytest.param("hard easy", "mid", "abstain_low_confidence", "reasoning", 0.5, id="abstain"),
    ],
)
def test_a_text_gets_a_decision(
    router: RouterModel, text: str, target: str, rationale: str, winner: str, confidence: float
) -> None:
    decision = router.decide_one(text)

    assert (decision.target, decision.model, decision.rationale) == (target, target, rationale)
    assert (decision.winner, decision.rule, decision.policy_error) == (winner, None, None)
    assert decision.confidence == pytest.approx(confidence, abs=1e-4)
    assert sum(decision.scores.values()) == pytest.approx(1)
    assert decision.classifier.name == "reasoning_classifier"
    assert decision.classifier.version == 1
    assert set(decision.timings_us) == {"tokenize", "classify", "decide"}


def test_the_decision_says_how_much_of_the_text_was_seen(router: RouterModel) -> None:
    short, long, huge = router.decide("easy easy", "easy " * 100, "easy " * 2_000_000)

    assert (short.tokens_seen, short.tokens_total, short.truncated) == (2, 2, False)
    assert (long.tokens_seen, long.tokens_total, long.truncated) == (64, 100, True)
    assert (huge.tokens_seen, huge.tokens_total, huge.truncated) == (64, None, True)


def test_the_end_of_a_long_text_is_seen(router: RouterModel) -> None:
    assert router.decide_one("x " * 1000 + "hard").target == "big"
    assert router.decide_one("hard" + " x" * 1000).target == "big"


def test_rows_of_one_request_are_decided_in_order_whatever_their_length(router: RouterModel) -> None:
    texts = ["hard", "easy " * 40, "hard " * 20, "easy", "hard " * 70] * 12

    targets = [decision.target for decision in router.decide(*texts)]

    assert targets == ["big", "small", "big", "small", "big"] * 12


def test_the_target_is_an_output_of_its_own_over_http(router: RouterModel) -> None:
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["hard"]}]

    status, text = router.post("models/semantic_router/infer", {"inputs": inputs})

    outputs = {output["name"]: output["data"][0] for output in json.loads(text)["outputs"]}
    assert (status, outputs["target"]) == (200, "big")
    assert json.loads(outputs["decision"])["target"] == "big"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "text: expected something to judge, got an empty text", id="empty"),
        pytest.param(" \n\t", "text: expected something to judge, got an empty text", id="blank"),
        pytest.param(b"ok\xffok", "text: expected UTF-8, got byte 0xff at position 2", id="not UTF-8"),
        pytest.param("nan", "expected finite logits, got [nan, nan]", id="classifier answers nonsense"),
        pytest.param("crash", "onnx runtime error", id="classifier fails"),
    ],
)
def test_a_text_that_cannot_be_judged_is_an_error_with_a_reason(
    router: RouterModel, text: str | bytes, message: str
) -> None:
    with pytest.raises(InferenceServerException) as refused:
        router.decide(text)

    assert message in refused.value.message()
    assert router.decide_one("hard").target == "big"


def test_a_failing_request_does_not_harm_the_requests_it_is_batched_with(router: RouterModel) -> None:
    texts = ["hard", "crash", "easy", "nan", b"\xff", "hard"] * 20

    def ask(text: str | bytes) -> str:
        try:
            return router.decide_one(text).target
        except InferenceServerException:
            return "error"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(ask, texts))

    assert outcomes == ["big", "error", "small", "error", "error", "big"] * 20


def test_a_wrong_tensor_is_refused_by_triton(router: RouterModel) -> None:
    inputs = [{"name": "prompt", "datatype": "BYTES", "shape": [1, 1], "data": ["hard"]}]

    status, text = router.post("models/semantic_router/infer", {"inputs": inputs})

    assert status == 400
    assert "prompt" in text
