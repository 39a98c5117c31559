"""What Triton is measured against: the newest bundle, in the fastest way."""

import os
import shutil
from pathlib import Path

import pytest

from benchmarks.instruments.in_process import InProcess, newest_version, served_threads
from benchmarks.rows.decision import best_way
from tests.conftest import CHECKOUT

SHIPPED = CHECKOUT / "model_repository" / "reasoning_classifier"


def test_the_newest_version_is_the_one_with_the_highest_number(tmp_path: Path) -> None:
    for number in ("2", "9", "10"):
        shutil.copytree(newest_version(SHIPPED), tmp_path / "classifier" / number)

    assert newest_version(tmp_path / "classifier").name == "10"


def test_the_session_has_the_threads_that_triton_gives_it() -> None:
    assert served_threads(SHIPPED) == 1


@pytest.mark.parametrize("callers", [1, len(os.sched_getaffinity(0))])
def test_every_way_to_call_it_judges_every_prompt(callers: int) -> None:
    prompts = ["What is the capital of France?", "Prove that there is no largest prime. " * 9]

    assert InProcess(SHIPPED, 1).rate(prompts, batch=1, seconds=0.01, callers=callers) > 0


def test_the_best_way_is_the_one_with_the_highest_rate() -> None:
    name, way = best_way({"slow": lambda: 1.0, "fast": lambda: 3.0, "fair": lambda: 2.0})

    assert (name, way()) == ("fast", 3.0)
