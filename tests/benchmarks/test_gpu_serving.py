"""The measurement of a full-size classifier on a card, in its small form: all of the way, none of the speed."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.card.full_size_model import BASE, TINY, Sizes, flops_of_sequence
from benchmarks.card.triton import container_command
from benchmarks.gpu_serving import main, missing_for_card
from local.stack.triton import TritonPorts
from tests.conftest import CHECKOUT


def test_the_small_form_measures_both_runtimes_and_triton(tmp_path: Path) -> None:
    subprocess.run(["benchmarks/prepare-tools.sh", "perf_analyzer"], cwd=CHECKOUT, check=True)

    ran = CliRunner().invoke(main, ["--small", "--results", str(tmp_path)], catch_exceptions=False)

    found = json.loads((tmp_path / "gpu.json").read_text())
    assert ran.exit_code == 0
    assert (tmp_path / "gpu.md").read_text() in ran.output
    assert [(speed["batch"], speed["tokens"]) for speed in found["speeds"]] == [(1, 32), (4, 64)]
    assert [load["clients"] for load in found["loads"]] == [1, 8]
    assert all(set(load["stages"]) == {"semantic_router", "reasoning_classifier"} for load in found["loads"])
    assert found["matrix_flops"] > 0


@pytest.mark.skipif(not missing_for_card(), reason="this machine has a card")
def test_without_a_card_it_says_what_it_needs() -> None:
    ran = CliRunner().invoke(main, [])

    assert ran.exit_code == 1
    assert "needs a CUDA card" in ran.output
    assert "--small" in ran.output


@pytest.mark.parametrize(
    ("sizes", "tokens", "expected"),
    [
        pytest.param(TINY, 10, 2 * (20 * (4 * 64**2 + 3 * 64 * 96) + 400 * 64), id="tiny"),
        pytest.param(BASE, 128, 29_343_350_784, id="ModernBERT-base, 128 tokens"),
    ],
)
def test_a_sequence_costs_its_matrices_and_its_pairs_of_tokens(sizes: Sizes, tokens: int, expected: int) -> None:
    assert flops_of_sequence(sizes, tokens) == expected


def test_in_nvidias_image_its_own_server_and_backends_serve() -> None:
    command = container_command(Path("/repository"), TritonPorts(http=1, grpc=2, metrics=3))

    assert command[0] == "/opt/tritonserver/bin/tritonserver"
    assert "--backend-directory=/opt/tritonserver/backends" in command
