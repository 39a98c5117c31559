"""What changes under a running server: policies and classifier versions, without a failed or a mixed-up request."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from export.repository.installation import install_bundle, rollback
from routing_policy.decision import DecisionDocument
from tests.stand_ins.tiny_classifier import write_tiny_bundle

from .conftest import LABELS, POLICY, MakeRouter, RouterModel

NAME = "reasoning_classifier"
# The same words with other ids: one version's tokenizer with the other's weights would call `hard` easy.
OTHER_WORDS = {"[UNK]": 0, "hard": 2, "easy": 1, "nan": 3}


def wait_for(router: RouterModel, condition: Callable[[DecisionDocument], bool]) -> DecisionDocument:
    """Ask until twenty decisions in a row, so those of every instance, meet the condition, for at most 20 seconds."""
    deadline = time.monotonic() + 20
    met = 0
    while met < 20:
        decision = router.decide_one("hard")
        met = met + 1 if condition(decision) else 0
        assert time.monotonic() < deadline, decision
    return decision


@contextmanager
def load_on(router: RouterModel) -> Iterator[Counter[tuple[str, int]]]:
    """Keep four clients asking for what is hard; count answers by target and classifier version."""
    answers: Counter[tuple[str, int]] = Counter()
    finished = threading.Event()

    def ask() -> None:
        while not finished.is_set():
            decision = router.decide_one("hard")
            answers[decision.target, decision.classifier.version] += 1

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        try:
            yield answers
        finally:
            finished.set()
        for client in clients:
            client.result()


@pytest.fixture(scope="module")
def own_router(make_router: MakeRouter) -> RouterModel:
    return make_router()


def test_a_new_policy_takes_over(own_router: RouterModel) -> None:
    before = own_router.decide_one("hard")

    own_router.policy.write_text(POLICY.replace("big", "bigger"), encoding="utf-8")

    after = wait_for(own_router, lambda decision: decision.target == "bigger")
    assert after.policy != before.policy


def test_an_invalid_policy_is_refused_and_the_old_one_stays(own_router: RouterModel) -> None:
    valid = own_router.policy.read_text(encoding="utf-8")
    before = own_router.decide_one("hard")

    own_router.policy.write_text(valid.replace("0.6", "1.4"), encoding="utf-8")

    refused = wait_for(own_router, lambda decision: decision.policy_error is not None)
    assert "$.threshold_min_conf: expected float <= 1.0, got 1.4" in str(refused.policy_error)
    assert (refused.target, refused.policy) == (before.target, before.policy)

    own_router.policy.write_text(valid, encoding="utf-8")
    wait_for(own_router, lambda decision: decision.policy_error is None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(POLICY.replace("big", "{model: big, params: {x: {on: 1}}}"), "reads as a boolean", id="on"),
        pytest.param(
            POLICY.replace("big", "{model: big, params: &a {x: *a}}"), "no alias inside", id="alias in itself"
        ),
        pytest.param(POLICY.replace("big", "{model: big, params: {x: .inf}}"), "a finite number", id="infinity"),
        pytest.param("- " * 100_000, "at most 50 levels", id="deep"),
        pytest.param("#" * 2_000_000, "at most 1,048,576 bytes", id="2 MB"),
    ],
)
def test_a_policy_that_nothing_can_be_made_of_fails_no_request(
    own_router: RouterModel, content: str, reason: str
) -> None:
    own_router.policy.write_text(content, encoding="utf-8")

    wait_for(own_router, lambda decision: reason in str(decision.policy_error))

    own_router.policy.write_text(POLICY, encoding="utf-8")
    wait_for(own_router, lambda decision: decision.policy_error is None)


def test_a_policy_file_that_vanishes_for_a_moment_changes_nothing(own_router: RouterModel) -> None:
    before = own_router.decide_one("hard")
    elsewhere = own_router.policy.rename(own_router.policy.with_suffix(".moved"))

    absent = wait_for(own_router, lambda decision: decision.policy_error is not None)
    elsewhere.rename(own_router.policy)

    present = wait_for(own_router, lambda decision: decision.policy_error is None)
    assert before.policy == absent.policy == present.policy


def test_installing_and_rolling_back_a_version_under_load_fails_and_mixes_nothing(
    make_router: MakeRouter, tmp_path: Path
) -> None:
    router = make_router()
    bundle = write_tiny_bundle(tmp_path / "bundle", labels=LABELS, word_order=OTHER_WORDS)

    with load_on(router) as answers:
        install_bundle(bundle, router.repository, NAME, router.load)
        wait_for(router, lambda decision: decision.classifier.version == 2)
        rollback(router.repository, NAME, router.load)
        wait_for(router, lambda decision: decision.classifier.version == 1)

    assert set(answers) == {("big", 1), ("big", 2)}


def test_a_version_with_damaged_files_is_never_used(make_router: MakeRouter, tmp_path: Path) -> None:
    router = make_router()
    bundle = write_tiny_bundle(tmp_path / "bundle", labels=LABELS, word_order=OTHER_WORDS)
    (bundle / "tokenizer.json").write_text("{}", encoding="utf-8")

    bundle.rename(router.repository / NAME / "2")
    router.load(NAME)

    while "refused reasoning_classifier version 2" not in router.server.read_log():
        assert router.decide_one("hard").classifier.version == 1
