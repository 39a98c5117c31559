"""Export a full ModernBERT-base classifier and measure every precision: size, agreement, latency and throughput.

python benchmarks/full_size_export.py                          # random weights: speed and parity, not judgement
python benchmarks/full_size_export.py --checkpoint FOLDER      # a trained one
"""

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
import numpy as np
import onnxruntime as ort

from export.inference import pad_batch
from export.onnx_export import export_graph
from export.parity import check_parity
from export.prompts import TokenizedPrompts, check_prompts, tokenize_prompts
from export.third_party import quiet_libraries
from export.tokenizer import load_tokenizer
from export.variants import PRECISIONS, write_variant

TOKENIZER = Path(__file__).parent.parent / "model_repository" / "reasoning_classifier" / "1" / "tokenizer.json"
BUCKETS = [32, 64, 128, 256]
CHECKED_PROMPTS = 16
SECONDS_PER_POINT = 2.0
DEVICES = {"CPU": "CPUExecutionProvider", "CUDA": "CUDAExecutionProvider"}

Run = Callable[[], Any]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Which batches and lengths to time, and how."""

    grid: list[tuple[int, int]]
    threads: int
    seconds: float

    def cells(self, run_of: Callable[[int, int], Run]) -> list[str]:
        return [time_run(run_of(batch, tokens), batch, self.seconds) for batch, tokens in self.grid]


@click.command()
@click.option("--checkpoint", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, default=(1, 8, 32), show_default=True)
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="CPU threads; 0 is all cores.")
@click.option("--seconds", default=SECONDS_PER_POINT, show_default=True, help="Time spent on each batch and length.")
def main(*, checkpoint: Path | None, batches: tuple[int, ...], threads: int, seconds: float) -> None:
    """Export, check and time a classifier in every precision, on the CPU and, where there is one, on a GPU."""
    with TemporaryDirectory() as folder:
        directory = checkpoint or write_random_base(Path(folder) / "checkpoint")
        prompts = choose_prompts(directory)
        graph = Path(folder) / "fp32.onnx"
        export_graph(directory, graph)
        click.echo(f"largest logit difference from PyTorch: {check_parity(directory, graph, prompts).difference:.2g}\n")
        timing = Timing(
            grid=[(batch, tokens) for batch in batches for tokens in BUCKETS], threads=threads, seconds=seconds
        )
        headings = [f"{batch} x {tokens}, ms" for batch, tokens in timing.grid]
        click.echo(f"| runtime | size | same label | largest score change | {' | '.join(headings)} |")
        click.echo("|---" * (4 + len(headings)) + "|")
        for row in rows(directory, graph, prompts, timing):
            click.echo("| " + " | ".join(row) + " |")


def rows(directory: Path, graph: Path, prompts: TokenizedPrompts, timing: Timing) -> Iterator[list[str]]:
    for precision in PRECISIONS:
        variant = graph.with_name(f"{precision}-variant.onnx")
        change = write_variant(graph, variant, precision, prompts, problem_type="single_label_classification")
        quality = [f"{change.agreement:.1%}", f"{change.largest_score_change:.2g}"]
        for device, provider in DEVICES.items():
            if provider in ort.get_available_providers():
                session = _session(variant, provider, timing.threads)
                cells = timing.cells(functools.partial(_onnx_run, session))
                yield [f"ONNX Runtime {device} {precision}", _megabytes(variant), *quality, *cells]
    yield ["PyTorch CPU fp32", _megabytes(directory / "model.safetensors"), "", "", *_torch_cells(directory, timing)]


def time_run(run: Run, batch: int, seconds: float) -> str:
    """Return the median in milliseconds and the sequences per second it amounts to."""
    run()
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while not durations or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    median = float(np.median(durations))
    return f"{1e3 * median:.1f} ({batch / median:.0f}/s)"


def choose_prompts(directory: Path) -> TokenizedPrompts:
    """Take check prompts of every length, few enough for a model of this size."""
    every = check_prompts()
    texts = every[:: max(len(every) // CHECKED_PROMPTS, 1)]
    return tokenize_prompts(load_tokenizer(directory), texts, BUCKETS)


def write_random_base(directory: Path) -> Path:
    """Write a ModernBERT-base classifier with random weights and the tokenizer of the bundled classifier."""
    with quiet_libraries():
        from transformers import ModernBertConfig, ModernBertForSequenceClassification  # noqa: PLC0415 - warns

        labels = {0: "non-reasoning", 1: "reasoning"}
        config = ModernBertConfig(id2label=labels, label2id={name: index for index, name in labels.items()})
        ModernBertForSequenceClassification(config).save_pretrained(directory)
    (directory / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    return directory


def _session(graph: Path, provider: str, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(graph), options, providers=[provider])


def _onnx_run(session: Any, batch: int, tokens: int) -> Run:
    tensors = pad_batch([[1] * tokens] * batch, tokens, [each.name for each in session.get_inputs()])
    return lambda: session.run(None, tensors)


def _torch_cells(directory: Path, timing: Timing) -> list[str]:
    import torch  # noqa: PLC0415 - slow to import

    torch.set_num_threads(timing.threads or torch.get_num_threads())
    with quiet_libraries(), torch.inference_mode():
        from transformers import AutoModelForSequenceClassification  # noqa: PLC0415 - as above

        model = AutoModelForSequenceClassification.from_pretrained(directory).eval()

        def run_of(batch: int, tokens: int) -> Run:
            ids = torch.ones(batch, tokens, dtype=torch.int64)
            return lambda: model(input_ids=ids, attention_mask=ids)

        return timing.cells(run_of)


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
