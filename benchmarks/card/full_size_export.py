"""Export a full ModernBERT-base classifier and measure every precision: size, agreement, latency and throughput.

.venv/bin/python -m benchmarks.card.full_size_export                      # random weights: speed, parity
.venv/bin/python -m benchmarks.card.full_size_export --checkpoint FOLDER  # a trained one
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
import onnxruntime as ort
import torch

from benchmarks.table.report import markdown
from export.bundle.check_prompts import TokenizedPrompts
from export.bundle.onnx_export import export_graph
from export.bundle.parity import check_parity
from export.bundle.variants import PRECISIONS, write_variant

from .full_size_model import BUCKETS, choose_prompts, write_random
from .speed import CARD, CPU, RunOf, median_seconds, onnx_runs, torch_runs

SECONDS_PER_POINT = 2.0
DEVICES = {"CPU": CPU, "CUDA": CARD}


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Which batches and lengths to time, and how."""

    grid: list[tuple[int, int]]
    threads: int
    seconds: float

    def cells(self, run_of: RunOf) -> list[str]:
        """Return each median in milliseconds and the sequences per second it amounts to."""
        medians = [(batch, median_seconds(run_of(batch, tokens), self.seconds)) for batch, tokens in self.grid]
        return [f"{1e3 * median:.1f} ({batch / median:.0f}/s)" for batch, median in medians]


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, default=(1, 8, 32), show_default=True)
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="CPU threads; 0 is all cores.")
@click.option("--seconds", default=SECONDS_PER_POINT, show_default=True, help="Time spent on each batch and length.")
def main(*, checkpoint: Path | None, batches: tuple[int, ...], threads: int, seconds: float) -> None:
    """Export, check and time a classifier in every precision, on the CPU and, where there is one, on a GPU."""
    with TemporaryDirectory() as folder:
        directory = checkpoint or write_random(Path(folder) / "checkpoint")
        prompts = choose_prompts(directory)
        graph = Path(folder) / "fp32.onnx"
        export_graph(directory, graph)
        click.echo(f"largest logit difference from PyTorch: {check_parity(directory, graph, prompts).difference:.2g}\n")
        timing = Timing(
            grid=[(batch, tokens) for batch in batches for tokens in BUCKETS], threads=threads, seconds=seconds
        )
        headings = [f"{batch} x {tokens}, ms" for batch, tokens in timing.grid]
        found = list(rows(directory, graph, prompts, timing))
        click.echo(markdown(["runtime", "size", "same label", "largest score change", *headings], found))


def rows(directory: Path, graph: Path, prompts: TokenizedPrompts, timing: Timing) -> Iterator[list[str]]:
    for precision in PRECISIONS:
        variant = graph.with_name(f"{precision}-variant.onnx")
        change = write_variant(graph, variant, precision, prompts, problem_type="single_label_classification")
        quality = [f"{change.agreement:.1%}", f"{change.largest_score_change:.2g}"]
        for name, device in DEVICES.items():
            if device.provider in ort.get_available_providers():
                cells = timing.cells(onnx_runs(variant, device, timing.threads))
                yield [f"ONNX Runtime {name} {precision}", _megabytes(variant), *quality, *cells]
    torch.set_num_threads(timing.threads or torch.get_num_threads())
    cells = timing.cells(torch_runs(directory, CPU))
    yield ["PyTorch CPU fp32", _megabytes(directory / "model.safetensors"), "", "", *cells]


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
