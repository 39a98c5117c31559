"""Measure a full-size ModernBERT on a card: sequences/s, their share of the card's matrix rate, and Triton under load.

.venv/bin/python -m benchmarks.gpu_serving                        # random weights, on a CUDA card
.venv/bin/python -m benchmarks.gpu_serving --checkpoint FOLDER    # a trained one
.venv/bin/python -m benchmarks.gpu_serving --small                # a tiny one on the processor: the way, not the speed
"""

import subprocess
import tempfile
from pathlib import Path

import click
import msgspec
import onnxruntime as ort
import torch

from benchmarks.card.full_size_model import BASE, TINY, Sizes, flops_of_sequence, read_sizes, write_random
from benchmarks.card.speed import CARD, CPU, Device, Speed, matrix_flops, onnx_runs, speeds, torch_runs
from benchmarks.card.triton import Load, build_full_size, lay_out, loads, serve
from benchmarks.table.bench import Table
from benchmarks.table.machine import CHECKOUT, Machine, describe_machine
from benchmarks.table.report import markdown
from export.bundle.variants import Precision

_NEEDS = """needs a CUDA card, and a torch and an ONNX Runtime that use it:
  .venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cu126
  .venv/bin/pip uninstall -y onnxruntime && .venv/bin/pip install 'onnxruntime-gpu[cuda,cudnn]'
--small measures a tiny classifier on the processor instead. Missing here: """


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and where."""

    device: Device
    sizes: Sizes
    precision: Precision
    grid: list[tuple[int, int]]
    clients: list[int]
    requests: int
    seconds: float


SMALL = Plan(
    device=CPU, sizes=TINY, precision="fp32", grid=[(1, 32), (4, 64)], clients=[1, 8], requests=100, seconds=0.05
)
FULL = Plan(
    device=CARD,
    sizes=BASE,
    precision="fp16",
    grid=[(batch, tokens) for tokens in (32, 64, 128, 256, 512) for batch in (1, 8, 32, 128)],
    clients=[1, 8, 64, 256],
    requests=5000,
    seconds=2.0,
)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `matrix_flops` is what the device does per second in one large matrix product."""

    machine: Machine
    device: str
    sizes: Sizes
    matrix_flops: float
    speeds: list[Speed]
    loads: list[Load]


@click.command()
@click.option("--small", is_flag=True, help="A tiny classifier on the processor.")
@click.option(
    "--checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A trained ModernBERT."
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=CHECKOUT / "benchmarks" / "results", show_default=False
)
def main(*, small: bool, checkpoint: Path | None, results: Path) -> None:
    """Measure, print the tables, and write them with their JSON."""
    plan = SMALL if small else FULL
    if plan.device is CARD and (missing := missing_for_card()):
        raise click.ClickException(_NEEDS + missing)
    subprocess.run([str(CHECKOUT / "benchmarks" / "prepare-tools.sh"), "perf_analyzer"], check=True)  # noqa: S603 - ours
    with tempfile.TemporaryDirectory(prefix="semrouter-bench-") as folder:
        found = measure(plan, checkpoint or write_random(Path(folder) / "checkpoint", plan.sizes), Path(folder))
    results.mkdir(parents=True, exist_ok=True)
    table = render(found)
    (results / "gpu.md").write_text(table, encoding="utf-8")
    (results / "gpu.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    click.echo(table)


def missing_for_card() -> str:
    """Return what keeps this machine from computing on a card, empty where nothing does."""
    if not torch.cuda.is_available():
        return "torch.cuda.is_available() is false"
    return "" if CARD.provider in ort.get_available_providers() else f"onnxruntime's {CARD.provider}"


def measure(plan: Plan, checkpoint: Path, folder: Path) -> Results:
    bundle = build_full_size(checkpoint, folder / "bundle", plan.precision)
    lay_out(folder / "model_repository", folder / "bundle", bundle, on_card=plan.device is CARD)
    flops = matrix_flops(plan.device, plan.seconds)
    in_onnxruntime = onnx_runs(folder / "bundle" / "model.onnx", plan.device)
    alone = speeds(in_onnxruntime, torch_runs(checkpoint, plan.device), plan.grid, plan.seconds)
    with serve(folder / "model_repository", folder) as ports:
        served = loads(ports, folder, plan.clients, plan.requests)
    return Results(
        machine=describe_machine(),
        device=torch.cuda.get_device_name() if plan.device is CARD else "processor",
        sizes=read_sizes(checkpoint),
        matrix_flops=flops,
        speeds=alone,
        loads=served,
    )


def render(found: Results) -> str:
    sizes = found.sizes
    head = (
        f"{found.device}, {found.machine.processor}, {found.machine.cores} cores; a large matrix product runs at "
        f"{found.matrix_flops / 1e12:.3g} TFLOP/s. ModernBERT of {sizes.num_hidden_layers} layers, hidden size "
        f"{sizes.hidden_size}; a sequence costs layers x (2 x tokens x (4 x hidden² + 3 x hidden x intermediate) + "
        f"4 x tokens² x hidden) operations. Commit {found.machine.commit}."
    )
    tables = (_speed_table(found), _load_table(found.loads))
    return "\n".join(
        [f"{head}\n", *(f"**{table.title}**\n\n{markdown(table.headings, table.rows)}" for table in tables)]
    )


def _speed_table(found: Results) -> Table:
    return Table(
        title="Sequences a second, and their share of the matrix rate",
        headings=["batch x tokens", "ONNX Runtime", "share", "PyTorch", "share"],
        rows=[
            [
                f"{speed.batch} x {speed.tokens}",
                *(cell for rate in (speed.onnxruntime, speed.torch) for cell in _rate_cells(found, rate, speed.tokens)),
            ]
            for speed in found.speeds
        ],
    )


def _rate_cells(found: Results, rate: float, tokens: int) -> list[str]:
    share = rate * flops_of_sequence(found.sizes, tokens) / found.matrix_flops
    return [f"{rate:.0f}", f"{share:.1%}"]


def _load_table(loads: list[Load]) -> Table:
    return Table(
        title="Triton, prompts of 8 to 256 tokens, by its own statistics (mean µs a request)",
        headings=[
            "clients",
            "decisions/s",
            "p50, ms",
            "p99, ms",
            "model",
            "batch",
            "queue",
            "input",
            "compute",
            "output",
        ],
        rows=[
            [
                str(load.clients),
                f"{load.report.rate:.0f}",
                f"{load.report.p50_us / 1000:.2f}",
                f"{load.report.p99_us / 1000:.2f}",
                model,
                *stages,
            ]
            for load in loads
            for model, stages in load.stages.items()
        ],
    )


if __name__ == "__main__":
    main()
