"""`semrouter report`: a decision log as one page."""

from pathlib import Path

import click

from local.errors import LogInvalid

from .lines import LOGS, open_logs
from .prices import load_prices
from .report import summarise
from .report_page import headline, report_page

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@LOGS
@click.option("--prices", type=FILE, help="YAML: target to {prompt, completion}, the price of a million tokens.")
@click.option("--output", type=FILE, default="report.html", show_default=True)
def report(*, logs: tuple[str, ...], prices: Path | None, output: Path) -> None:
    """Turn decision LOGs (with their rotated parts; - for standard input) into one self-contained HTML page."""
    priced = load_prices(prices) if prices else {}
    result = summarise(open_logs(logs))
    try:
        output.write_text(report_page(result, priced), encoding="utf-8")
    except OSError as exc:
        raise LogInvalid(f"{output}: cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"{output}: {headline(result)}")


COMMANDS = [report]
