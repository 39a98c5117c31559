"""`semrouter policy`: what a policy says, decides and would change, before it is put in force."""

import asyncio
import os
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import click
import msgspec

from local.errors import PolicyRefused
from local.logs.lines import LOGS, open_logs
from local.logs.prices import cost_change, load_prices
from local.logs.replay import Replay, compare, replay
from local.logs.replay_text import cost_line, replay_lines
from local.stack.stack import CHECKOUT
from routing_policy.errors import PolicyInvalid
from routing_policy.explanation import explain
from routing_policy.policy import Policy
from routing_policy.policy_checks import label_problems
from routing_policy.policy_file import load_cases, load_policy
from routing_policy.policy_forms import CaseForm
from routing_policy.problem import Problem

from .cases import CaseResult, Verdict, case_name, complete_scores, parse_scores, run_case
from .lint import lint_policy, lint_upstreams, shown
from .live_scores import LiveScores
from .schemas import write_schemas
from .text import explanation_lines

CONFIGS = CHECKOUT / "configs"
SHIPPED_POLICIES = (CONFIGS / "semantic-router-binary.yaml", CONFIGS / "semantic-router.yaml")
INSTALLED = CHECKOUT / ".run" / "model_repository"
SHIPPED = CHECKOUT / "model_repository"
FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, exists=True, path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
PROXY_URL = click.option("--url", help="A live proxy, whose classifier scores texts.")
PROXY_KEY = click.option("--key-env", metavar="VARIABLE", help="The environment variable with that proxy's client key.")
PRICES = click.option(
    "--prices", type=FILE, help="YAML: target to {prompt, completion}, the price of a million tokens."
)


def _load(_context: click.Context, _parameter: click.Parameter, file: Path) -> Policy:
    """Load a policy argument with every check that serving makes on the file itself."""
    try:
        return load_policy(file)
    except PolicyInvalid as exc:
        raise PolicyRefused(str(exc)) from exc


@click.group()
def policy() -> None:
    """Check, test, explain and replay policies."""


@policy.command()
@click.argument("files", nargs=-1, type=FILE, envvar="SEMROUTER_CONFIG")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option(
    "--upstreams",
    type=FILE,
    envvar="SEMROUTER_UPSTREAMS",
    default=CONFIGS / "upstreams.yaml",
    help="The upstreams file that must name every target. Default: configs/upstreams.yaml.",
)
@click.option(
    "--repository",
    type=DIRECTORY,
    envvar="SEMROUTER_REPOSITORY",
    help="Where classifiers are installed. Default: .run/model_repository, then the checkout's.",
)
def lint(*, files: tuple[Path, ...], strict: bool, upstreams: Path, repository: Path | None) -> None:
    """Make the checks of serving on policy FILES (default: SEMROUTER_CONFIG, else those in configs/)."""
    served = lint_upstreams(_shown(upstreams))
    repositories = [repository] if repository else [_shown(INSTALLED), _shown(SHIPPED)]
    problems = [*served.problems]
    for file in files or map(_shown, SHIPPED_POLICIES):
        problems += lint_policy(file, served, repositories)
    for problem in problems:
        click.echo(shown(problem))
    _refuse(problems, strict=strict)


def _shown(path: Path) -> Path:
    """Name a file as a person here would."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _refuse(problems: list[Problem], *, strict: bool) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if errors or (strict and warnings):
        raise PolicyRefused(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@policy.command()
@click.argument("file", type=FILE, callback=_load)
@click.option("--cases", type=FILE, help="A file of tests; default: the policy's own `tests:`.")
@PROXY_URL
@PROXY_KEY
def test(*, file: Policy, cases: Path | None, url: str | None, key_env: str | None) -> None:
    """Run the tests of the policy FILE: scores, or texts scored by a live proxy, against what must be decided."""
    try:
        wanted = load_cases(cases or Path(file.file))
    except PolicyInvalid as exc:
        raise PolicyRefused(str(exc)) from exc
    verdicts = asyncio.run(_run_cases(file, wanted, _live(url, key_env)))
    click.echo(", ".join(f"{verdicts[verdict]} {verdict.lower()}" for verdict in ("PASSED", "FAILED", "SKIPPED")))
    if verdicts["FAILED"]:
        raise PolicyRefused(f"{file.file}: {_count(verdicts['FAILED'], 'test')} failed")
    if not verdicts["PASSED"]:
        raise PolicyRefused(f"{cases or file.file}: nothing was tested")


def _live(url: str | None, key_env: str | None) -> LiveScores | None:
    return None if url is None else LiveScores(url, os.environ.get(key_env or ""))


async def _run_cases(policy: Policy, cases: list[CaseForm], live: LiveScores | None) -> Counter[Verdict]:
    verdicts: Counter[Verdict] = Counter()
    async with live or nullcontext():
        for index, case in enumerate(cases):
            result = await _run_case(policy, case, case_name(case, index), live)
            click.echo(f"{result.verdict:7}  {result.name} ({result.detail})")
            verdicts[result.verdict] += 1
    return verdicts


async def _run_case(policy: Policy, case: CaseForm, name: str, live: LiveScores | None) -> CaseResult:
    if case.scores is not None:
        return run_case(policy, case, name, case.scores)
    if live is None:
        return CaseResult(name=name, verdict="SKIPPED", detail="a text needs --url")
    return run_case(policy, case, name, await _live_scores(live, policy, str(case.text)))


@policy.command("explain")
@click.argument("file", type=FILE, callback=_load)
@click.option("--scores", help="""JSON, such as '{"reasoning": 0.7}'.""")
@click.option("--text", help="A prompt; needs --url.")
@PROXY_URL
@PROXY_KEY
@AS_JSON
def explain_decision(
    *, file: Policy, scores: str | None, text: str | None, url: str | None, key_env: str | None, as_json: bool
) -> None:
    """Show what the policy FILE decides on scores or a text, by which comparisons, and what would flip it."""
    if (scores is None) == (text is None):
        raise click.UsageError("expected either --scores or --text")
    if scores is not None:
        given = parse_scores(scores)
    elif live := _live(url, key_env):
        given = asyncio.run(_ask(live, file, str(text)))
    else:
        raise click.UsageError("--text needs --url, the proxy whose classifier scores it")
    explanation = explain(file, complete_scores(file, given))
    if as_json:
        click.echo(msgspec.json.encode(explanation))
    else:
        click.echo("\n".join(explanation_lines(explanation)))


async def _ask(live: LiveScores, policy: Policy, text: str) -> dict[str, float]:
    async with live:
        return await _live_scores(live, policy, text)


async def _live_scores(live: LiveScores, policy: Policy, text: str) -> dict[str, float]:
    """Score `text` by the classifier in use, which must have the labels that the policy needs."""
    scores = await live.score(text)
    for problem in label_problems(policy, list(scores)):
        raise PolicyRefused(str(problem))
    return scores


@policy.command("replay")
@click.argument("file", type=FILE, callback=_load)
@LOGS
@PRICES
@AS_JSON
def replay_log(*, file: Policy, logs: tuple[str, ...], prices: Path | None, as_json: bool) -> None:
    """Send decision LOGs (with their rotated parts; - is standard input) through the policy FILE; show what moves."""
    _show(replay(open_logs(logs), file), ("log", Path(file.file).name), prices, as_json=as_json)


@policy.command()
@click.argument("old", type=FILE, callback=_load)
@click.argument("new", type=FILE, callback=_load)
@LOGS
@PRICES
@AS_JSON
def diff(*, old: Policy, new: Policy, logs: tuple[str, ...], prices: Path | None, as_json: bool) -> None:
    """Send decision LOGs through the policies OLD and NEW and show what moves between them."""
    _show(
        compare(open_logs(logs), old, new),
        (f"old {old.revision[:6]}", f"new {new.revision[:6]}"),
        prices,
        as_json=as_json,
    )


def _show(result: Replay, names: tuple[str, str], prices: Path | None, *, as_json: bool) -> None:
    cost = cost_change(result.tokens, load_prices(prices)) if prices and result.estimated else None
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.structs.asdict(result), "cost": cost}))
        return
    click.echo("\n".join(replay_lines(result, *names)))
    if cost is not None:
        click.echo(cost_line(cost))


@policy.command()
@click.option("--directory", type=DIRECTORY, default=CONFIGS, help="Default: configs/.")
def schema(*, directory: Path) -> None:
    """Write the JSON schemas by which editors complete and check both YAML files."""
    for file in write_schemas(directory):
        click.echo(file)


COMMANDS = [policy]
