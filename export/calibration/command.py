"""`semrouter calibrate`: make scores honest, and turn a target an operator understands into a policy's numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from export.command_errors import shows_errors

if TYPE_CHECKING:
    from export.evaluation.metrics import Figure
    from routing_policy.policy import Policy

    from .cutoffs import Goal, Judged, Outcome

BUNDLE = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path)


@click.group()
def calibrate() -> None:
    """Fit a bundle's temperature to data, or choose a policy's cutoffs by what they should achieve."""


@calibrate.command()
@click.argument("directory", type=BUNDLE)
@click.option("--data", type=FILE, required=True, help='JSONL with a "text" and a label per line.')
@click.option("--label-field", help="The field with the label [label or binary, whichever the bundle knows].")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the copy.")
@shows_errors
def temperature(*, directory: Path, data: Path, label_field: str | None, output: Path) -> None:
    """Copy the bundle in DIRECTORY with the temperature that makes its confidence match how often it is right."""
    from export.classifier.prompt_files import read_evaluation_rows
    from routing_policy.bundle import read_bundle

    from .temperature import recalibrate

    rows = read_evaluation_rows(data, read_bundle(directory).labels, label_field)
    bundle, result = recalibrate(directory, output, rows)
    click.echo(
        f"bundle {bundle.revision} in {output}: temperature {result.temperature},"
        f" calibration error {result.error_before.value:.1%} before and {result.error_after.value:.1%} after,"
        f" on the {result.rows} prompts it was fitted to"
    )


@calibrate.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--max-share", type=click.FloatRange(0, 1), help="Send at most this share of the traffic to the target.")
@click.option("--min-precision", type=click.FloatRange(0, 1), help="Of what is sent there, so much belongs there.")
@click.option("--target", help="Target to choose a cutoff for [the reasoning model, or that of the first rule].")
@click.option("--bundle", "directory", type=BUNDLE, help="Bundle to score --data with.")
@click.option("--data", type=FILE, help='JSONL with a "text" and a label per line.')
@click.option("--label-field", help="The field with the label [label or binary, whichever the bundle knows].")
@click.option("--log", type=FILE, help="Decision log of the proxy instead of --bundle and --data; for --max-share.")
@click.option("--outcomes", type=FILE, help="Outcome rows (docs/outcomes.md), scored by --bundle or joined with --log.")
@click.option("--keep-quality", type=click.FloatRange(0, 1), help="Keep so much of the stronger model's quality.")
@click.option(
    "--budget", type=click.FloatRange(0, 1), help="Spend at most so much of what it costs more, or its calls."
)
@click.option("--strong", metavar="NAME", help="The outcomes' stronger model [--target's name, else the better one].")
@click.option("--weak", metavar="NAME", help="The outcomes' cheaper model [the other one].")
@click.option("--source", "sources", multiple=True, help="Only the outcomes of this source; may be repeated.")
@shows_errors
def policy(  # noqa: PLR0913 - click hands over one argument per option
    *,
    file: Path,
    max_share: float | None,
    min_precision: float | None,
    target: str | None,
    directory: Path | None,
    data: Path | None,
    label_field: str | None,
    log: Path | None,
    outcomes: Path | None,
    **by_quality: Any,
) -> None:
    """Print the change to the policy FILE that meets --max-share or --min-precision, as a diff for `patch`.

    With --outcomes, that which meets --keep-quality or --budget.
    """
    from routing_policy.policy_file import load_policy

    from .cutoffs import choose_cutoff

    loaded = load_policy(file)
    if outcomes is not None:
        if max_share is not None or min_precision is not None or data is not None:
            raise click.UsageError("--outcomes goes with --keep-quality or --budget, and --bundle or --log")
        chosen = _target(loaded, target)
        found = _by_quality(loaded, chosen, (outcomes, directory, log), by_quality)
        _show_diff(file, loaded, chosen, found)
        return
    if by_quality["keep_quality"] is not None or by_quality["budget"] is not None:
        raise click.UsageError("--keep-quality and --budget need --outcomes")
    goal = _goal(loaded, target, max_share, min_precision)
    outcome = choose_cutoff(loaded, _judged(loaded, goal, (directory, data, label_field), log), goal)
    click.echo(_summary(goal, outcome), err=True)
    _show_diff(file, loaded, goal.target, outcome.cutoff)


def _show_diff(file: Path, loaded: "Policy", target: str, cutoff: float) -> None:
    from .cutoffs import cutoff_paths
    from .policy_edit import unified_diff, with_values

    before = file.read_text(encoding="utf-8")
    after = with_values(before, cutoff_paths(loaded, target), cutoff)
    click.echo(unified_diff(before, after, str(file)), nl=False)


def _target(policy: "Policy", target: str | None) -> str:
    from export.outcomes.scoring import default_target

    from .cutoffs import targets_with_cutoff

    chosen = target or default_target(policy)
    allowed = sorted(targets_with_cutoff(policy))
    if chosen not in allowed:
        raise click.BadParameter(f"expected one of {allowed}, got {chosen!r}", param_hint="--target")
    return chosen


def _by_quality(
    loaded: "Policy", target: str, files: tuple[Path, Path | None, Path | None], options: dict[str, Any]
) -> float:
    """Say what the cutoff found on outcomes does, and return it."""
    from .kept_quality import QualityGoal, choose_by_quality, read_judgement

    keep, budget = options["keep_quality"], options["budget"]
    if (keep is None) == (budget is None):
        raise click.UsageError("with --outcomes, give either --keep-quality or --budget")
    outcomes, directory, log = files
    if (directory is None) == (log is None):
        raise click.UsageError("with --outcomes, give either --bundle or --log")
    kind: Literal["keep_quality", "budget"] = "budget" if keep is None else "keep_quality"
    goal = QualityGoal(target=target, kind=kind, bound=budget if keep is None else keep)
    names = (options["strong"], options["weak"], options["sources"])
    judgement, unit = read_judgement(outcomes, (directory, log), loaded, target, names)
    found = choose_by_quality(loaded, judgement, goal)
    cutoff = found.cutoff
    click.echo(
        f"cutoff {cutoff.value:g} ({cutoff.low:g} to {cutoff.high:g}) sends {_with_interval(found.share)} to {target},"
        f" which is {_with_interval(found.spent)} of the extra {unit}",
        err=True,
    )
    click.echo(
        f"quality {_with_interval(found.quality)}, {_with_interval(found.kept)} of the stronger model's;"
        f" over as many sent at random {_with_interval(found.over_random)}",
        err=True,
    )
    if found.over_random.low <= 0:
        click.echo("WARNING: that is not shown to be better than sending as many at random", err=True)
    return cutoff.value


def _goal(policy: "Policy", target: str | None, max_share: float | None, min_precision: float | None) -> "Goal":
    from .cutoffs import Goal

    chosen = _target(policy, target)
    if max_share is not None and min_precision is None:
        return Goal(target=chosen, kind="max_share", bound=max_share)
    if min_precision is not None and max_share is None:
        return Goal(target=chosen, kind="min_precision", bound=min_precision)
    raise click.UsageError("give either --max-share or --min-precision")


def _judged(
    policy: "Policy", goal: "Goal", labelled: tuple[Path | None, Path | None, str | None], log: Path | None
) -> "list[Judged]":
    from export.classifier.inference import open_classifier
    from export.classifier.prompt_files import read_evaluation_rows
    from routing_policy.policy import BinaryPolicy, policy_labels
    from routing_policy.policy_checks import check_labels

    from .scores import judge, read_decision_log

    directory, data, label_field = labelled
    if directory is not None and data is not None and log is None:
        classifier = open_classifier(directory)
        check_labels(policy, classifier.bundle.labels)
        return judge(classifier, read_evaluation_rows(data, classifier.bundle.labels, label_field))
    if log is not None and directory is None and data is None and goal.kind == "max_share":
        labels = {"reasoning"} if isinstance(policy, BinaryPolicy) else policy_labels(policy)
        return read_decision_log(log, labels)
    raise click.UsageError("give --bundle and --data, or, for --max-share, --log")


def _summary(goal: "Goal", outcome: "Outcome") -> str:
    parts = [f"cutoff {outcome.cutoff:g} sends {_with_interval(outcome.share)} to {goal.target}"]
    if outcome.precision is not None:
        parts.append(f"precision {_with_interval(outcome.precision)}")
    return ", ".join(parts)


def _with_interval(figure: "Figure") -> str:
    return f"{figure.value:.1%} ({figure.low:.1%} to {figure.high:.1%})"
