"""A classifier of another architecture takes over from the shipped one and hands back, under load through the proxy."""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from export.bundle.bundling import BundleOptions, build_bundle
from export.bundle.checkpoints import locate_checkpoint
from export.classifier.inference import Classifier, classify, open_classifier
from export.repository.installation import installed_versions
from tests.stand_ins.checkpoints import LABELS, make_bert, save_checkpoint, train_tokenizer

from .conftest import Stack, run_stack
from .test_guide import ask

NAME = "reasoning_classifier"
SETTLED = 20  # answers in a row


@pytest.fixture(scope="module")
def bert_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bert")
    checkpoint = save_checkpoint(make_bert(LABELS, max_tokens=512), train_tokenizer(), directory / "checkpoint")
    build_bundle(locate_checkpoint(str(checkpoint)), directory / "bundle", BundleOptions())
    return directory / "bundle"


class Load:
    """Four clients that ask something new each time; answers by status, outcome and classifier."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.answers: Counter[tuple[int, str, str]] = Counter()
        self.confidences: dict[str, tuple[str, str, float]] = {}  # by prompt: classifier, winner and its score
        self._numbers = itertools.count()

    async def ask(self) -> str:
        """Ask once and return the classifier that decided."""
        prompt = f"Show that there are infinitely many primes of the form {next(self._numbers)}k + 3."
        response, _ = await ask(self.stack, "auto", "router", prompt)
        headers = response.headers
        classifier = headers.get("x-semrouter-classifier", "none")
        self.answers[response.status, headers["x-semrouter-outcome"], classifier] += 1
        if "x-semrouter-confidence" in headers:
            score = float(headers["x-semrouter-confidence"])
            self.confidences[prompt] = (classifier, headers["x-semrouter-winner"], score)
        return classifier

    async def settle(self, prefix: str) -> None:
        async with asyncio.timeout(30):
            in_a_row = 0
            while in_a_row < SETTLED:
                in_a_row = in_a_row + 1 if (await self.ask()).startswith(prefix) else 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        finished = asyncio.Event()

        async def client() -> None:
            while not finished.is_set():
                await self.ask()

        async with asyncio.TaskGroup() as clients:
            for _ in range(4):
                clients.create_task(client())
            yield
            finished.set()


async def semrouter(stack: Stack, repository: Path, *arguments: str) -> str:
    """Run a bundle command against the running stack and return what it prints."""
    places = ("--repository", str(repository), "--triton-url", f"127.0.0.1:{stack.triton_grpc_port}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.cli", "bundle", *arguments, *places),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def score_in_process(classifier: Classifier, prompt: str, winner: str) -> float:
    return float(classify(classifier, [prompt], batch_size=1)[0][classifier.bundle.labels.index(winner)])


async def test_another_architecture_is_installed_and_rolled_back_under_load_without_a_failure(
    bert_bundle: Path, tmp_path: Path
) -> None:
    with run_stack(tmp_path) as stack:
        repository = tmp_path / "run" / "model_repository"
        shipped = installed_versions(repository, NAME)[-1]
        load = Load(stack)
        async with load.running():
            await load.settle(f"{NAME}/{shipped.version}/")
            installed = await semrouter(stack, repository, "install", str(bert_bundle), "--name", NAME)
            await load.settle(f"{NAME}/{shipped.version + 1}/")
            await semrouter(stack, repository, "rollback", NAME)
            await load.settle(f"{NAME}/{shipped.version}/")

    assert f"{NAME} {shipped.version + 1}: revision" in installed
    opened = {
        version: open_classifier(directory)
        for version, directory in ((shipped.version, shipped.directory), (shipped.version + 1, bert_bundle))
    }
    names = {f"{NAME}/{version}/{each.bundle.revision}": each for version, each in opened.items()}
    decided = {
        (outcome, name) for _, outcome, name in load.answers if outcome != "failopen_timeout"
    }  # of a slow machine
    assert {status for status, _, _ in load.answers} == {200}
    assert {outcome for outcome, _ in decided} <= {"routed", "abstained"}
    assert {name for _, name in decided} == set(names)
    for prompt, (name, winner, score) in load.confidences.items():
        assert score == pytest.approx(score_in_process(names[name], prompt, winner), abs=0.05)
