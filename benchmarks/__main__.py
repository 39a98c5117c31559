"""`make bench`: measure every family of rows, each by itself, and write benchmarks/results."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import click
import psutil

from benchmarks.instruments.deadline import deadline, stop_in_order
from benchmarks.rows import decision as decision_rows
from benchmarks.rows import designs as design_rows
from benchmarks.rows import growth as growth_rows
from benchmarks.rows import memory as memory_rows
from benchmarks.rows import modes as mode_rows
from benchmarks.rows import overload as overload_rows
from benchmarks.rows import proxy as proxy_rows
from benchmarks.rows import start as start_rows
from benchmarks.rows import streaming as streaming_rows
from benchmarks.table.bench import FULL, QUICK, Bench, Family, Finding, Scale
from benchmarks.table.goals import GOALS
from benchmarks.table.machine import describe_machine
from benchmarks.table.report import Results, write_results
from local.errors import LocalError

from .errors import BenchmarkError, reason_of

FAMILIES: Mapping[str, Family] = {
    "decision": decision_rows.measure,
    "designs": design_rows.measure,
    "proxy": proxy_rows.measure,
    "modes": mode_rows.measure,
    "overload": overload_rows.measure,
    "streaming": streaming_rows.measure,
    "memory": memory_rows.measure,
    "start": start_rows.measure,
    "growth": growth_rows.measure,
}
RESULTS = Path(__file__).parent / "results"
# What goes wrong with servers and tools that are not ours; a mistake of ours should end the run and be seen.
_FAILURES = (BenchmarkError, LocalError, OSError, subprocess.SubprocessError, aiohttp.ClientError, psutil.Error)


@click.command()
@click.option("--full", is_flag=True, help="Measure longer and more often; memory after 200,000 requests.")
@click.option("--only", "families", multiple=True, type=click.Choice(list(FAMILIES)), help="These families of rows.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=False, help="Where to write.")
def main(*, full: bool, families: Sequence[str], results: Path) -> None:
    """Measure, print the table, and write it with its JSON and plot."""
    stop_in_order()
    chosen = families or list(FAMILIES)
    machine = describe_machine()
    failures: dict[str, str] = {name: "not chosen" for name in FAMILIES if name not in chosen}
    findings = list(_findings(chosen, failures, FULL if full else QUICK))
    run = Results(machine=machine, scale="full" if full else "quick", findings=findings, failures=failures)
    click.echo(write_results(run, GOALS, results))


def _findings(chosen: Sequence[str], failures: dict[str, str], scale: Scale) -> Iterator[Finding]:
    for name in chosen:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="semrouter-bench-") as folder:
            try:
                with deadline(scale.family_seconds):
                    yield from FAMILIES[name](Bench(scratch=Path(folder), scale=scale))
            except _FAILURES as exc:
                failures[name] = reason_of(exc)
        outcome = failures.get(name, "done")
        click.echo(f"{name}: {outcome} after {time.monotonic() - started:.0f} s", err=True)


if __name__ == "__main__":
    main()
