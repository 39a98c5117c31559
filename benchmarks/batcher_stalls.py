"""How often a decision waits for Triton's batcher thread: the shipped queue settings beside the usual ones.

Run: .venv/bin/python benchmarks/batcher_stalls.py
Prints, for each setting and number of clients, how many of 3,000 requests took longer than 200 ms.
"""

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton_grpc

from export.repository.serving_copy import refresh_serving_copy
from local.stack.stack import SHIPPED_REPOSITORY
from local.stack.triton import TritonPorts
from local.stack.triton_server import TritonServer

POLICY = SHIPPED_REPOSITORY.parent / "configs" / "semantic-router-binary.yaml"
PORTS = TritonPorts(http=18000, grpc=18001, metrics=18002)
REQUESTS = 3000
STALL_SECONDS = 0.2
USUAL_QUEUE = """dynamic_batching {
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 2000000
    allow_timeout_override: true
    max_queue_size: 256
  }
}
"""


@click.command()
def main() -> None:
    """Compare one instance with a queue timeout against what ships."""
    click.echo("| setting | clients | requests over 200 ms | requests/s |\n|---|---|---|---|")
    for setting in ("one instance, queue timeout", "shipped"):
        with tempfile.TemporaryDirectory() as folder:
            repository = _repository(Path(folder), usual=setting != "shipped")
            with TritonServer(repository, Path(folder), PORTS, {"SEMROUTER_CONFIG": str(POLICY)}) as server:
                server.wait_ready()
                for clients in (1, 4):
                    seconds, took = _load(clients)
                    stalled = int((took > STALL_SECONDS).sum())
                    click.echo(f"| {setting} | {clients} | {stalled} of {len(took)} | {len(took) / seconds:.0f} |")


def _repository(folder: Path, *, usual: bool) -> Path:
    repository = folder / "model_repository"
    refresh_serving_copy(SHIPPED_REPOSITORY, repository)
    shutil.rmtree(repository / "topic_classifier")
    if usual:
        for model, instances in (("semantic_router", "count: 2"), ("reasoning_classifier", "count: 2")):
            config = repository / model / "config.pbtxt"
            text = config.read_text(encoding="utf-8").replace(instances, "count: 1")
            start = text.index("dynamic_batching")
            end = text.index("\n}\n", start) + 3 if model == "semantic_router" else text.index("\n", start) + 1
            config.write_text(text[:start] + USUAL_QUEUE + text[end:], encoding="utf-8")
    return repository


def _load(clients: int) -> tuple[float, npt.NDArray[np.float64]]:
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        took = np.concatenate(list(pool.map(_ask, [REQUESTS // clients] * clients)))
    return time.perf_counter() - started, took


def _ask(requests: int) -> npt.NDArray[np.float64]:
    """Return the seconds each of `requests` took, float64 [requests]."""
    text = triton_grpc.InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([["Prove that there is no largest prime."]], dtype=object))
    took = np.zeros(requests)
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{PORTS.grpc}") as client:
        for index in range(requests):
            started = time.perf_counter()
            client.infer("semantic_router", [text])
            took[index] = time.perf_counter() - started
    return took


if __name__ == "__main__":
    main()
