"""`semrouter label`: from a decision log with text to prompts worth training on, labelled by a judge or by hand."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from export.command_errors import shows_errors
from export.errors import TrainingDataInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .judge import Judge
    from .labelling import LabelledRow
    from .log_prompts import LoggedPrompt, LogPrompts
    from .prompt_choice import Chosen

FILE = click.Path(path_type=Path, dir_okay=False)
WAYS = {"doubt": "for doubt", "chance": "from bands of confidence", "sample": "plainly at random"}


@click.command("label")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=FILE)
@click.option("--output", type=FILE, required=True, help="The new JSONL file; nobody but you can read it.")
@click.option("--count", type=click.IntRange(1), default=500, show_default=True, help="Prompts to choose.")
@click.option(
    "--doubtful",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share chosen by lowest confidence; the rest is drawn evenly from bands of confidence.",
)
@click.option(
    "--per-shape", type=click.IntRange(1), default=5, show_default=True, help="Prompts that begin alike, at most."
)
@click.option("--sample", "as_traffic", is_flag=True, help="Draw plainly at random instead: a file to measure on.")
@click.option("--without", multiple=True, type=FILE, help="JSONL whose texts are left out, as what was trained on.")
@click.option("--labels", help="The labels to choose from, comma-separated [those with scores in the log].")
@click.option("--meaning", multiple=True, metavar="LABEL=TEXT", help="What a label means, for the judge.")
@click.option("--judge", "url", help="OpenAI-compatible server that labels, as http://host:8000/v1 [a person does].")
@click.option("--judge-model", metavar="NAME", help="The judge's model.")
@click.option("--judge-key-env", metavar="VARIABLE", help="The environment variable with the judge's API key.")
@click.option("--in-flight", type=click.IntRange(1), default=8, show_default=True, help="Questions at a time.")
@click.option("--seed", type=int, default=1, show_default=True)
@shows_errors
def label_command(  # noqa: PLR0913 - one argument per option
    *,
    logs: tuple[Path, ...],
    output: Path,
    count: int,
    doubtful: float,
    per_shape: int,
    as_traffic: bool,
    without: tuple[Path, ...],
    labels: str | None,
    meaning: tuple[str, ...],
    url: str | None,
    judge_model: str | None,
    judge_key_env: str | None,
    in_flight: int,
    seed: int,
) -> None:
    """Choose prompts of decision LOGs (with their rotated parts) that are worth a label, and have them labelled.

    The logs need text: SEMROUTER_DECISION_LOG_TEXT=true. Without --judge every label is null, for you to fill in.
    """
    from .labelling import choose_labels, labelled_rows, of_labels, write_rows
    from .log_prompts import read_log_prompts
    from .prompt_choice import Wanted, choose, sample

    judge = _judge(url, judge_model, judge_key_env, in_flight)
    meanings = dict(_meaning(text) for text in meaning)
    if output.exists():
        raise TrainingDataInvalid(output, None, "is there already, perhaps with labels; name another file")
    found = read_log_prompts(logs)
    known = choose_labels(logs[0], found.prompts, labels, meanings)
    candidates = _left(of_labels(found.prompts, known), without)
    wanted = Wanted(count=count, doubtful_share=doubtful, per_shape=per_shape, seed=seed)
    chosen = sample(candidates, count, seed) if as_traffic else choose(candidates, wanted)
    _show_choice(found, chosen, min(count, len(candidates)))
    rows = labelled_rows(chosen, _labels(judge, chosen, known, meanings))
    write_rows(output, rows)
    _show_labels(rows, output)


def _left(prompts: "list[LoggedPrompt]", without: tuple[Path, ...]) -> "list[LoggedPrompt]":
    """Return the prompts whose text stands in none of the files."""
    from export.classifier.prompt_files import read_texts

    from .log_prompts import text_key

    taken = {text_key(text) for file in without for text in read_texts(file)}
    left = [prompt for prompt in prompts if text_key(prompt.text) not in taken]
    if not left:
        raise TrainingDataInvalid(without[0], None, "holds every prompt of the log, so none is left to choose")
    return left


def _judge(url: str | None, model: str | None, key_variable: str | None, in_flight: int) -> "Judge | None":
    from .judge import Judge

    if (url is None) != (model is None):
        raise click.UsageError("--judge and --judge-model need each other")
    if url is None or model is None:
        return None
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"expected http://… or https://…, got {url!r}", param_hint="--judge")
    if key_variable is not None and not os.environ.get(key_variable):
        raise click.BadParameter(f"the variable {key_variable} is not set", param_hint="--judge-key-env")
    key = os.environ[key_variable] if key_variable is not None else None
    return Judge(url=url, model=model, key=key, in_flight=in_flight)


def _meaning(text: str) -> tuple[str, str]:
    label, equals, meaning = text.partition("=")
    if not (label and equals and meaning):
        raise click.BadParameter(f"expected LABEL=TEXT, got {text!r}", param_hint="--meaning")
    return label, meaning


def _labels(
    judge: "Judge | None", chosen: "Sequence[Chosen]", labels: list[str], meanings: dict[str, str]
) -> list[str | None]:
    """Return what the judge says; without one, or from where it stopped answering, there is no label."""
    from .judge import instruction, judge_texts

    if judge is None:
        return [None] * len(chosen)
    texts = [each.prompt.text for each in chosen]
    verdicts = asyncio.run(judge_texts(judge, texts, labels, instruction(labels, meanings), report=_note))
    if verdicts.stopped and not any(verdicts.labels):
        raise verdicts.stopped
    if verdicts.stopped:
        _note(f"{verdicts.stopped}; the prompts not asked about by then have no label")
    return verdicts.labels


def _show_choice(found: "LogPrompts", chosen: "Sequence[Chosen]", wanted: int) -> None:
    click.echo(
        f"{found.lines:,} lines read, {found.with_text:,} decisions with text ({found.duplicates:,} repeated,"
        f" {found.near_empty:,} near-empty), {len(found.prompts):,} different prompts"
    )
    ways = Counter[str](each.by for each in chosen)
    how = ", ".join(f"{ways[way]:,} {name}" for way, name in WAYS.items() if ways[way])
    fewer = " (fewer than wanted: the others begin like these)" if len(chosen) < wanted else ""
    click.echo(f"{len(chosen):,} chosen: {how}{fewer}")


def _show_labels(rows: "list[LabelledRow]", output: Path) -> None:
    from .labelling import agreement

    labelled = sum(row.label is not None for row in rows)
    unlabelled = len(rows) - labelled
    last = f", the last lines of {output}: label or delete them before you train" if unlabelled else f", in {output}"
    click.echo(f"{labelled:,} labelled, {unlabelled:,} unlabelled{last}")
    for way, name in WAYS.items():
        if figure := agreement(row for row in rows if row.chosen == way):
            interval = f"{figure.value:.1%} ({figure.low:.1%} to {figure.high:.1%})"
            click.echo(f"judge and classifier agree on {interval} of those {name}")


def _note(line: str) -> None:
    click.echo(line, err=True)
