"""`semrouter eval`: how good is a bundle, on labelled prompts or by what two models made of prompts?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from export.command_errors import shows_errors
from export.evaluation.command import LABEL_OPTIONS, report_on_labels

if TYPE_CHECKING:
    from .scoring import Scored

FILE = click.Path(path_type=Path)
OUTCOME_OPTIONS = (
    click.option("--outcomes", type=FILE, help="JSONL of prompts with the quality of two models' answers, instead."),
    click.option("--log", type=FILE, help="Decision log whose scores are joined by request_id, instead of DIRECTORY."),
    click.option("--policy", "policy_file", type=FILE, help="Whose cutoff is judged on the outcomes [score 0.5]."),
    click.option("--strong", metavar="NAME", help="The stronger model of the outcomes [the better one]."),
    click.option("--weak", metavar="NAME", help="The cheaper model of the outcomes [the other one]."),
    click.option("--source", "sources", multiple=True, help="Only the outcomes of this source; may be repeated."),
    click.option("--prices", type=FILE, help="YAML: model to {prompt, completion}, the price of a million tokens."),
)


def _with_options(command: Any) -> Any:
    for option in reversed((*LABEL_OPTIONS, *OUTCOME_OPTIONS)):
        command = option(command)
    return command


@click.command("eval")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@_with_options
@shows_errors
def eval_command(
    *,
    directory: Path | None,
    outcomes: Path | None,
    log: Path | None,
    policy_file: Path | None,
    strong: str | None,
    weak: str | None,
    sources: tuple[str, ...],
    prices: Path | None,
    **labelled: Any,
) -> None:
    """Measure the bundle in DIRECTORY on labelled prompts, or with --outcomes by the quality that routing gains."""
    only_outcomes = {"--log": log, "--policy": policy_file, "--strong": strong, "--weak": weak, "--prices": prices}
    if outcomes is None:
        _refuse_others(only_outcomes | {"--source": sources}, "--outcomes")
        if directory is None:
            raise click.UsageError("Missing argument 'DIRECTORY': the bundle to measure")
        report_on_labels(directory, **labelled)
        return
    if labelled["data"] is not None:
        raise click.UsageError("give either --data or --outcomes")
    if (directory is None) == (log is None):
        raise click.UsageError("with --outcomes, give either the DIRECTORY of a bundle or --log")
    from .rows import Wanted

    wanted = Wanted(strong=strong, weak=weak, sources=sources)
    given = (labelled["json_file"], labelled["html_file"])
    _report_on_outcomes((directory, log), (outcomes, policy_file, prices), wanted, given, labelled["resamples"])


def _refuse_others(options: dict[str, Any], wanted: str) -> None:
    for name, value in options.items():
        if value:
            raise click.UsageError(f"{name} needs {wanted}")


def _report_on_outcomes(  # noqa: PLR0917 - groups of options
    scorer: tuple[Path | None, Path | None],
    files: tuple[Path, Path | None, Path | None],
    wanted: Any,
    outputs: tuple[Path | None, Path | None],
    resamples: int,
) -> None:
    import msgspec

    from routing_policy.policy_file import load_policy

    from .costs import read_costs, read_prices
    from .evaluation import Judged, evaluate_outcomes
    from .report import html_report, text_report
    from .rows import read_outcomes
    from .scoring import default_target, sent_to_strong

    file, policy_file, prices = files
    policy = None if policy_file is None else load_policy(policy_file)
    likely = None if policy is None else default_target(policy)
    outcomes = read_outcomes(file, msgspec.structs.replace(wanted, likely_strong=likely))
    costs = read_costs(file, outcomes.pairs, read_prices(prices))
    scored = _scored(scorer, file, outcomes.pairs, policy)
    judged = Judged(outcomes=outcomes, scored=scored, sent=sent_to_strong(scored, policy), costs=costs)
    cutoff = policy_file.name if policy_file else "a score of 0.5"
    report = evaluate_outcomes(judged, file, cutoff, resamples)
    click.echo(text_report(report))
    json_file, html_file = outputs
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    if html_file:
        html_file.write_text(html_report(report), encoding="utf-8")


def _scored(scorer: tuple[Path | None, Path | None], file: Path, pairs: Any, policy: Any) -> "Scored":
    from .scoring import score_with_bundle, score_with_log

    directory, log = scorer
    if directory is not None:
        return score_with_bundle(directory, pairs, policy)
    if log is None:  # the command refused that
        raise click.UsageError("give a bundle or --log")
    return score_with_log(log, file, pairs, policy)
