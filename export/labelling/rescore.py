"""`semrouter rescore`: yesterday's decision log as a new bundle would have scored it, for replay and calibration."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from export.command_errors import shows_errors
from export.errors import ExportError, TrainingDataInvalid
from router_proxy.record.log_parts import PlacedLine, read_log

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
    lines = (line for log in logs for placed in read_log(log) if (line := _decode(placed)) is not None)
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


def _write(classifier: "Classifier", lines: Iterator[dict[str, Any]], output: Path) -> tuple[int, int]:
    """Write the new log and return how many of its lines have new scores, and how many none."""
    rescored = without = 0
    with output.open("wb") as file:
        while batch := [*islice(lines, BATCH_LINES)]:
            with_text = sum(map(_has_text, batch))
            rescored, without = rescored + with_text, without + len(batch) - with_text
            file.writelines(msgspec.json.encode(line) + b"\n" for line in rescore(classifier, batch))
    return rescored, without


def rescore(classifier: "Classifier", lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines without their text; what has none is left without scores."""
    from export.classifier.inference import classify

    texts = [line["text"] for line in lines if _has_text(line)]
    scores = iter(classify(classifier, texts)) if texts else iter(())
    for line in lines:
        changed = _decision(classifier, next(scores)) if _has_text(line) else {"scores": None}
        yield {field: value for field, value in {**line, **changed}.items() if field != "text"}


def _decision(classifier: "Classifier", row: Iterable[float]) -> dict[str, Any]:
    """Return what a log line says of a decision, before any policy."""
    bundle = classifier.bundle
    scores = {label: round(float(score), 6) for label, score in zip(bundle.labels, row, strict=True)}
    winner = max(scores, key=scores.__getitem__)
    name = {"name": "rescored", "version": 0, "revision": bundle.revision}
    return {"scores": scores, "winner": winner, "confidence": scores[winner], "classifier": name}


def _has_text(line: dict[str, Any]) -> bool:
    text = line.get("text")
    return isinstance(text, str) and bool(text.strip())


def _decode(placed: PlacedLine) -> dict[str, Any] | None:
    place, raw = placed
    file, _, number = place.rpartition(":")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError as exc:
        reason = f"expected a line of the decision log: {exc}"
        raise TrainingDataInvalid(Path(file), int(number), reason) from exc
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # cut short by a crash
