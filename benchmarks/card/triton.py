"""Triton with a full-size classifier on a card: what queue and compute take as clients grow."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.instruments.perf_analyzer import Client, Report
from benchmarks.instruments.servers import POLICY, environment
from benchmarks.instruments.triton_statistics import cells, read_totals
from benchmarks.rows.decision import CLASSIFIER, ROUTER, mixed_input
from benchmarks.table.machine import CHECKOUT
from export.bundle.bundling import BundleParts, describe_bundle
from export.bundle.checkpoints import load_tokenizer
from export.bundle.onnx_export import export_graph
from export.bundle.variants import Precision, write_variant
from export.repository.serving_copy import refresh_serving_copy
from export.repository.triton_config import CONFIG_FILE, WARMUP_DIRECTORY, WARMUP_MASK, classifier_config, warmup_mask
from local.stack.processes import ManagedProcess, free_ports, http_status
from local.stack.triton import TritonInstallation, TritonPorts, server_command
from local.stack.triton_server import START_SECONDS, TritonServer
from routing_policy.bundle import MODEL_FILE, TOKENIZER_FILE, Bundle

from .full_size_model import BUCKETS, choose_prompts

_CONTAINER = Path("/opt/tritonserver")
_HTTP_OK = 200


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What so many clients saw, and each model's mean batch, queue, input, compute and output in microseconds."""

    clients: int
    report: Report
    stages: dict[str, list[str]]


def build_full_size(checkpoint: Path, directory: Path, precision: Precision) -> Bundle:
    """Export `checkpoint` into `directory` as a bundle, checked on a few prompts of every length."""
    directory.mkdir(parents=True)
    graph = directory / "fp32.onnx"
    export_graph(checkpoint, graph)
    prompts = choose_prompts(checkpoint)
    write_variant(graph, directory / MODEL_FILE, precision, prompts, problem_type="single_label_classification")
    graph.unlink()
    load_tokenizer(checkpoint).save(str(directory / TOKENIZER_FILE))
    parts = BundleParts(
        labels=["non-reasoning", "reasoning"],
        problem_type="single_label_classification",
        max_length=BUCKETS[-1],
        temperature=1.0,
        precision=precision,
        source={"checkpoint": checkpoint.name},
        figures={},
    )
    return describe_bundle(directory, parts)


def lay_out(repository: Path, bundle_directory: Path, bundle: Bundle, *, on_card: bool) -> None:
    """Write a repository with the shipped router before this classifier alone."""
    refresh_serving_copy(CHECKOUT / "model_repository", repository)
    for model in repository.iterdir():
        if model.name != ROUTER:
            shutil.rmtree(model)
    classifier = repository / CLASSIFIER
    shutil.copytree(bundle_directory, classifier / "1")
    (classifier / WARMUP_DIRECTORY).mkdir()
    (classifier / WARMUP_DIRECTORY / WARMUP_MASK).write_bytes(warmup_mask(bundle))
    config = classifier_config(CLASSIFIER, bundle)
    (classifier / CONFIG_FILE).write_text(
        config.replace("{ count: 2 }", "{ count: 2 kind: KIND_GPU }") if on_card else config
    )


@contextmanager
def serve(repository: Path, folder: Path) -> Iterator[TritonPorts]:
    """Serve `repository` with the container's tritonserver where this is one, else with the wheel's."""
    http, grpc, metrics = free_ports(3)
    ports = TritonPorts(http=http, grpc=grpc, metrics=metrics)
    variables = {"SEMROUTER_CONFIG": str(POLICY), "SEMROUTER_CLASSIFIER": ""}
    if not _CONTAINER.is_dir():
        with TritonServer(repository, folder, ports, variables) as server:
            server.wait_ready()
            yield ports
        return
    command = container_command(repository, ports)
    with ManagedProcess("tritonserver", command, environment(variables), folder / "tritonserver.log") as process:
        process.wait_until(lambda: http_status(http, "GET", "/v2/health/ready") == _HTTP_OK, START_SECONDS)
        yield ports


def container_command(repository: Path, ports: TritonPorts) -> list[str]:
    """Return the command that serves `repository` with the backends of NVIDIA's image."""
    parts = TritonInstallation(
        server=_CONTAINER / "bin" / "tritonserver",
        libraries=_CONTAINER / "lib",
        python_backend=_CONTAINER / "backends" / "python",
        stub=_CONTAINER / "backends" / "python" / "triton_python_backend_stub",
        libpython_directory=_CONTAINER,
    )
    return server_command(
        parts, repository, _CONTAINER / "backends", ports=ports, admin_token=secrets.token_urlsafe(32), extra=()
    )


def loads(ports: TritonPorts, folder: Path, clients: Sequence[int], requests: int) -> list[Load]:
    """Ask for decisions on prompts of mixed lengths, with ever more clients."""
    client, inputs = Client(ports.grpc, folder), mixed_input(folder)
    found = []
    for count in clients:
        before = {model: read_totals(ports.http, model) for model in (ROUTER, CLASSIFIER)}
        report = client.closed(ROUTER, inputs, count, requests)
        stages = {model: cells(totals, read_totals(ports.http, model)) for model, totals in before.items()}
        found.append(Load(clients=count, report=report, stages=stages))
    return found
