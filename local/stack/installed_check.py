"""Check, inside the machine or container of a Triton server, that it can serve the model repository beside this file.

Needs nothing but Python. Prints a line for each thing it looks at and exits 1 if any of them is not as expected.
"""

import argparse
import hashlib
import importlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("msgspec", "numpy", "tokenizers", "yaml")
BACKENDS = ("onnxruntime", "python")
OLDEST = (2, 51)  # the server of release 24.10
Finding = tuple[str, str | None]  # what was looked at, and what is wrong with it


def check_packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as exc:
            yield f"package {name}", f"{exc}: python3 -m pip install --no-deps -r {FOLDER / 'requirements.txt'}"
        else:
            yield f"package {name}", None


def check_backends(directory: Path) -> Iterator[Finding]:
    for name in BACKENDS:
        missing = (
            None if (directory / name).is_dir() else f"not in {directory}; --backend-directory names another place"
        )
        yield f"backend {name}", missing


def check_files(repository: Path) -> Iterator[Finding]:
    """Compare every bundle with the hashes it states: a copy cut short, or a Git LFS pointer, is found here."""
    for bundle in sorted(repository.glob("*/[0-9]*/bundle.json")):
        files = json.loads(bundle.read_text(encoding="utf-8"))["files"]
        wrong = [name for name, expected in files.items() if _sha256(bundle.with_name(name)) != expected]
        place = bundle.parent.relative_to(repository)
        yield f"bundle {place}", f"expected other contents in {', '.join(wrong)}" if wrong else None


def check_policy() -> Iterator[Finding]:
    named = os.environ.get("SEMROUTER_CONFIG")
    if named is None:
        yield "policy", f"SEMROUTER_CONFIG is not set here; the server needs it, for example {FOLDER / 'policy.yaml'}"
    else:
        yield f"policy {named}", None if Path(named).is_file() else "there is no such file"


def check_server(url: str) -> Iterator[Finding]:
    """Ask the running server for its version and for one decision."""
    try:
        server = json.loads(_answer(f"{url}/v2"))["version"]
        too_old = tuple(map(int, server.split(".")[:2])) < OLDEST
        yield f"Triton {server}", "expected 2.51 (release 24.10) or newer" if too_old else None
        text = {"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["Is the router answering?"]}
        answer = _answer(f"{url}/v2/models/semantic_router/infer", json.dumps({"inputs": [text]}).encode())
        outputs = {output["name"]: output["data"][0] for output in json.loads(answer)["outputs"]}
        yield f"a decision for {outputs['target']}", None
    except urllib.error.HTTPError as exc:
        with exc:
            yield "a decision", f"{exc.url} answered {exc.code}: {exc.read(300).decode(errors='replace')}"
    except (OSError, ValueError, KeyError) as exc:
        yield "a decision", f"{url}: {exc}"


def _answer(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, body, timeout=10) as response:  # noqa: S310 - the server the caller named
        return bytes(response.read())


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=FOLDER / "model_repository")
    parser.add_argument("--backend-directory", type=Path, default=Path("/opt/tritonserver/backends"))
    parser.add_argument("--url", help="Triton's HTTP address; ask it for a decision, too.")
    arguments = parser.parse_args()
    findings = [
        *check_packages(),
        *check_backends(arguments.backend_directory),
        *check_files(arguments.repository),
        *check_policy(),
        *(check_server(arguments.url) if arguments.url else ()),
    ]
    for subject, problem in findings:
        print(f"{'wrong' if problem else 'ok':5}  {subject}{': ' + problem if problem else ''}")  # noqa: T201 - its purpose
    return int(any(problem for _, problem in findings))


if __name__ == "__main__":
    sys.exit(main())
