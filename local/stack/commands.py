"""The commands of the local stack: up, check, and the demo upstream that `up` starts."""

import asyncio
from pathlib import Path

import aiohttp
import click
from aiohttp import web

from export.bundle.guide_files import GuideFiles
from local.errors import CheckFailed, StartFailed

from .demo_upstream import make_app
from .guide_check import GuideCheck
from .repository import repository_command
from .stack import CHECKOUT, StackOptions, run_stack
from .triton import TritonPorts

EXISTING_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)
CONFIGS = CHECKOUT / "configs"


@click.command()
@click.option(
    "--policy",
    type=EXISTING_FILE,
    envvar="SEMROUTER_CONFIG",
    default=CONFIGS / "semantic-router-binary.yaml",
    help="Default: configs/semantic-router-binary.yaml.",
)
@click.option(
    "--upstreams",
    type=EXISTING_FILE,
    envvar="SEMROUTER_UPSTREAMS",
    help="Your upstreams.yaml; without it, demo upstreams are started.",
)
@click.option("--demo-upstreams", is_flag=True, help="Start a demo upstream for every endpoint of --upstreams.")
@click.option(
    "--classifier",
    envvar="SEMROUTER_CLASSIFIER",
    default="",
    help="`keyword` or a Triton model, instead of the policy's.",
)
@click.option(
    "--model-path",
    type=EXISTING_FILE,
    envvar="SEMROUTER_MODEL_PATH",
    help="Install this model.onnx first; config.json beside it names the labels.",
)
@click.option(
    "--tokenizer-path",
    type=EXISTING_FILE,
    envvar="SEMROUTER_TOKENIZER_PATH",
    help="Its tokenizer.json; default: the one beside it.",
)
@click.option(
    "--max-length",
    type=click.IntRange(2),
    envvar="SEMROUTER_MAX_LENGTH",
    default=256,
    show_default=True,
    help="Tokens looked at, at most.",
)
@click.option(
    "--run-directory",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default=CHECKOUT / ".run",
    help="Logs, backends and the serving copy of the model repository.",
)
@click.option("--port", default=8999, show_default=True, help="The proxy.")
@click.option("--triton-http-port", default=8000, show_default=True)
@click.option("--triton-grpc-port", default=8001, show_default=True)
@click.option("--triton-metrics-port", default=8002, show_default=True)
def up(  # noqa: PLR0913 - click hands over one argument per option
    *,
    policy: Path,
    upstreams: Path | None,
    demo_upstreams: bool,
    classifier: str,
    model_path: Path | None,
    tokenizer_path: Path | None,
    max_length: int,
    run_directory: Path,
    port: int,
    triton_http_port: int,
    triton_grpc_port: int,
    triton_metrics_port: int,
) -> None:
    """Run the whole router on this machine: Triton, proxy and, without --upstreams, demo upstreams."""
    run_stack(
        StackOptions(
            policy=policy,
            upstreams=upstreams or CONFIGS / "upstreams.yaml",
            start_demo_upstreams=demo_upstreams or upstreams is None,
            classifier=classifier,
            given_model=_given_model(model_path, tokenizer_path),
            max_length=max_length,
            run_directory=run_directory,
            proxy_port=port,
            triton_ports=TritonPorts(http=triton_http_port, grpc=triton_grpc_port, metrics=triton_metrics_port),
        ),
        _announce,
    )


def _given_model(model: Path | None, tokenizer: Path | None) -> GuideFiles | None:
    if model is None:
        return None
    return GuideFiles(model=model, tokenizer=tokenizer or model.with_name("tokenizer.json"))


def _announce(options: StackOptions) -> None:
    url = f"http://localhost:{options.proxy_port}"
    ports = options.triton_ports
    click.echo(
        f"""
The semantic router is ready. Ctrl-C stops everything.

  proxy       {url}/v1   metrics {url}/metrics
  page        {url}/ui
  Triton      HTTP localhost:{ports.http}   gRPC localhost:{ports.grpc}   metrics localhost:{ports.metrics}
  policy      {options.policy}
  upstreams   {options.upstreams}
  logs        {options.run_directory / "logs"}

Try:
  curl -s {url}/v1/chat/completions -H 'X-Dynamo-Routing: auto' -d '{{"model": "router",
    "messages": [{{"role": "user", "content": "Prove that the square root of 2 is irrational. Show each step."}}]}}'
  curl -s {url}/v1/chat/completions -H 'X-Dynamo-Routing: auto' -d '{{"model": "router",
    "messages": [{{"role": "user", "content": "What is the capital of France?"}}]}}'
  .venv/bin/semrouter check {url}
"""
    )


@click.command()
@click.argument("url", default="http://localhost:8999")
def check(url: str) -> None:
    """Repeat the guide's routing tests against the live stack at URL."""
    if not asyncio.run(_check(url.rstrip("/").removesuffix("/v1"))):
        raise CheckFailed("not every routing check passed")


async def _check(url: str) -> bool:
    passed = True
    try:
        async with aiohttp.ClientSession() as session:
            async for result in GuideCheck(session, url).results():
                click.echo(f"{'PASSED' if result.passed else 'FAILED'}  {result.name} ({result.detail})")
                passed = passed and result.passed
    except (aiohttp.ClientError, ValueError) as exc:
        raise CheckFailed(f"{url}: expected a semantic router: {exc}") from exc
    return passed


@click.command("demo-upstream")
@click.option("--port", required=True, type=int)
@click.argument("models", nargs=-1, required=True)
def demo_upstream(port: int, models: tuple[str, ...]) -> None:
    """Serve MODELS on loopback: an OpenAI-compatible server that answers with its own name."""
    try:
        web.run_app(make_app(list(models)), host="127.0.0.1", port=port, print=None)
    except OSError as exc:
        raise StartFailed(f"demo upstream: port {port}: {exc.strerror}") from exc


COMMANDS = [up, check, demo_upstream, repository_command]
