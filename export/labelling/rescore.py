"""`semrouter rescore`: yesterday's decision log as a new bundle would have scored it, for replay and calibration."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from export.command_errors import shows_errors
from export.errors import ExportError, TrainingDataInvalid
from router_proxy.record.decision_line import DecisionLine, LoggedClassifier

from .log_lines import log_lines, text_of
from .log_prompts import TEXT_VARIABLE

if TYPE_CHECKING:
    from export.classifier.inference import Classifier

BATCH_LINES = 256


@click.command("rescore")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--bundle", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The new log, no text.")
@shows_errors
def rescore_command(*, logs: tuple[Path, ...], directory: Path, output: Path) -> None:
    """Copy decision LOGs (with their rotated parts) with the scores that the bundle gives their texts.

    Where requests went, and what they cost, stays: `policy replay` tells what the bundle would have changed.
    """
    from export.classifier.inference import open_classifier

    classifier = open_classifier(directory)
    lines = (line for log in logs for _, line in log_lines(log))
    output.touch(exist_ok=False)
    try:
        rescored, without = _write(classifier, lines, output)
        if not rescored:
            reason = f"expected decisions with text, found none; {TEXT_VARIABLE}=true makes the proxy log it"
            raise TrainingDataInvalid(logs[0], None, reason)
    except (ExportError, OSError):
        output.unlink()
        raise
    click.echo(f"{rescored:,} lines rescored by {classifier.bundle.revision}, {without:,} without text, in {output}")


def _write(classifier: "Classifier", lines: Iterator[DecisionLine], output: Path) -> tuple[int, int]:
    """Write the new log and return how many of its lines have new scores, and how many none."""
    rescored = without = 0
    with output.open("wb") as file:
        while batch := [*islice(lines, BATCH_LINES)]:
            with_text = sum(text_of(line) is not None for line in batch)
            rescored, without = rescored + with_text, without + len(batch) - with_text
            file.writelines(msgspec.json.encode(line) + b"\n" for line in rescore(classifier, batch))
    return rescored, without


def rescore(classifier: "Classifier", lines: Sequence[DecisionLine]) -> Iterator[DecisionLine]:
    """Yield the lines without their text; what has none is left without scores."""
    from export.classifier.inference import classify

    texts = [text for line in lines if (text := text_of(line)) is not None]
    scores = iter(classify(classifier, texts)) if texts else iter(())
    for line in lines:
        changed = _decision(classifier, next(scores)) if text_of(line) is not None else {"scores": None}
        yield msgspec.structs.replace(line, text=msgspec.UNSET, **changed)


def _decision(classifier: "Classifier", row: Iterable[float]) -> dict[str, Any]:
    """Return what a log line says of a decision, before any policy."""
    bundle = classifier.bundle
    scores = {label: round(float(score), 6) for label, score in zip(bundle.labels, row, strict=True)}
    winner = max(scores, key=scores.__getitem__)
    ref = LoggedClassifier(name="rescored", version=0, revision=bundle.revision)
    return {"scores": scores, "winner": winner, "confidence": scores[winner], "classifier": ref}
