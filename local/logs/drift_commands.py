"""`semrouter drift-rules`: a decision log as the baseline that live decisions are compared with."""

import re
from pathlib import Path

import click
import yaml

from local.errors import LogInvalid

from .drift import drift_rules, take_baseline
from .lines import LOGS, open_logs

_FEW_DECISIONS = 1000


def _check_window(_context: click.Context, _parameter: click.Parameter, window: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[smhdw]", window):
        raise click.BadParameter(f"expected a duration such as 30m, 1h or 1d, got {window!r}")
    return window


@click.command("drift-rules")
@LOGS
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where Prometheus reads rules, such as docker/prometheus/drift.yaml.",
)
@click.option(
    "--window",
    default="1h",
    show_default=True,
    callback=_check_window,
    help="How much live traffic is compared, such as 30m or 1d.",
)
def write_drift_rules(*, logs: tuple[str, ...], output: Path, window: str) -> None:
    """Write Prometheus rules that compare live decisions with those in decision LOGs."""
    baseline = take_baseline(open_logs(logs))
    if not baseline.decisions:
        raise LogInvalid(f"{logs[0]}: expected lines with winner and confidence, got none")
    output.write_text(yaml.safe_dump(drift_rules(baseline, window), sort_keys=False, width=1000), encoding="utf-8")
    shares = ", ".join(f"{winner} {share:.1%}" for winner, share in sorted(baseline.winners.items()))
    click.echo(f"{output}: baseline of {baseline.decisions} decisions: {shares}")
    if baseline.decisions < _FEW_DECISIONS:
        click.echo(f"with fewer than {_FEW_DECISIONS} decisions chance alone moves the index", err=True)


COMMANDS = [write_drift_rules]
