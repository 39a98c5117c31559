import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tokenizers import Tokenizer

from export.commands import COMMANDS
from export.repository.installation import installed_versions
from tests.stand_ins.checkpoints import make_modernbert, save_checkpoint
from tests.stand_ins.hub import COMMIT, hub_with

NAME = "reasoning_classifier"
EXPORT = "from export.bundle.command import export; export()"


def semrouter(*arguments: str | Path, **variables: str) -> Result:
    command, *rest = map(str, arguments)
    by_name = {each.name: each for each in COMMANDS}
    return CliRunner().invoke(by_name[command], rest, env=variables)


def test_output_leaves_exactly_the_three_files_of_the_guide(modernbert: Path, tmp_path: Path) -> None:
    result = semrouter("export", modernbert, "--output", tmp_path / "out")

    assert result.exit_code == 0
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert f"SEMROUTER_MODEL_PATH={tmp_path / 'out'}/model.onnx" in result.output


def test_export_bundle_list_and_rollback_work_on_the_repository_the_environment_names(
    modernbert: Path, repository: Path
) -> None:
    variables = {"SEMROUTER_REPOSITORY": str(repository)}

    first = semrouter("export", modernbert, "--name", NAME, **variables)
    second = semrouter("export", modernbert, "--precision", "fp32", **variables)
    back = semrouter("bundle", "rollback", NAME, **variables)
    listed = semrouter("bundle", "list", **variables)

    assert [result.exit_code for result in (first, second, back, listed)] == [0, 0, 0, 0]
    assert back.output.startswith(f"{NAME} 1: revision ")
    lines = listed.output.splitlines()
    assert lines[0].startswith(f"{NAME} 1: revision ")
    assert "int8, up to 256 tokens, labels non-reasoning, reasoning" in lines[0]
    assert lines[1].startswith(f"{NAME} 2 withdrawn: revision ")


def test_a_bundle_directory_joins_the_classifier_with_its_labels(bundle: Path, repository: Path) -> None:
    first = semrouter("bundle", "install", bundle, "--name", NAME, "--repository", repository)
    second = semrouter("bundle", "install", bundle, "--repository", repository)

    assert first.exit_code == 0
    assert second.output.startswith(f"{NAME} 2: revision ")


def test_another_label_set_needs_a_name_of_its_own(
    bundle: Path, repository: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    semrouter("bundle", "install", bundle, "--name", NAME, "--repository", repository)
    topics = save_checkpoint(make_modernbert({0: "math", 1: "code", 2: "general"}), tokenizer, tmp_path / "topics")

    unnamed = semrouter("export", topics, "--repository", repository)
    taken = semrouter("export", topics, "--name", NAME, "--repository", repository)
    named = semrouter("export", topics, "--name", "topics", "--repository", repository)

    assert (unnamed.exit_code, taken.exit_code, named.exit_code) == (1, 1, 0)
    assert "no classifier has the labels ['math', 'code', 'general']; give the new one a --name" in unnamed.output
    assert "install under another --name" in taken.output
    assert "dims: [ 3 ]" in (repository / "topics" / "config.pbtxt").read_text()
    assert [version.version for version in installed_versions(repository, NAME)] == [1]


def test_a_folder_that_cannot_be_written_is_one_line(bundle: Path, repository: Path) -> None:
    (repository / NAME).write_text("a file where the classifier's folder belongs")

    result = semrouter("bundle", "install", bundle, "--name", NAME, "--repository", repository)

    assert result.exit_code == 1
    assert result.output == f"Error: {repository / NAME / 'warmup'}: Not a directory\n"


def test_a_triton_nobody_runs_is_one_line_and_leaves_the_old_version(
    bundle: Path, repository: Path, closed_port: int
) -> None:
    semrouter("bundle", "install", bundle, "--name", NAME, "--repository", repository)

    result = semrouter(
        "bundle", "install", bundle, "--repository", repository, "--triton-url", f"127.0.0.1:{closed_port}"
    )

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {NAME}: Triton at 127.0.0.1:{closed_port} did not load it: ")
    assert len(result.output.splitlines()) == 1
    assert [(each.version, each.withdrawn) for each in installed_versions(repository, NAME)] == [(1, False), (2, True)]


def run_with_hub(endpoint: str, home: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own: huggingface_hub reads its environment when it is imported."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_hub_model_is_downloaded_and_stays_usable_without_the_hub(modernbert: Path, tmp_path: Path) -> None:
    model, locate = (
        "someone/some-classifier",
        (
            "import sys; from export.bundle.checkpoints import locate_checkpoint;"
            "checkpoint = locate_checkpoint(sys.argv[1]); print(checkpoint.directory, checkpoint.source['commit'])"
        ),
    )

    with hub_with(model, modernbert) as endpoint:
        first = run_with_hub(endpoint, tmp_path, locate, model)
        unknown = run_with_hub(endpoint, tmp_path, EXPORT, "someone/else")
    again = run_with_hub(endpoint, tmp_path, locate, model)

    directory, commit = first.stdout.split()
    assert again.stdout == first.stdout
    assert commit == COMMIT
    assert (Path(directory) / "model.safetensors").read_bytes() == (modernbert / "model.safetensors").read_bytes()
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("Error: someone/else: the Hugging Face hub refused it: 404")
    assert len(unknown.stderr.splitlines()) == 1


def test_without_the_hub_one_line_says_what_to_do(tmp_path: Path, closed_port: int) -> None:
    result = run_with_hub(f"http://127.0.0.1:{closed_port}", tmp_path, EXPORT, "--output", str(tmp_path / "out"))

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: CodeIsAbstract/ReasoningTextClassifier: no access to the Hugging Face hub;"
        " download the model elsewhere and pass its folder instead\n"
    )


@pytest.mark.parametrize("command", [each.name for each in COMMANDS])
def test_help_needs_none_of_the_heavy_libraries(command: str) -> None:
    program = (
        "import sys; from export.commands import COMMANDS;"
        f"next(c for c in COMMANDS if c.name == {command!r})(['--help'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'transformers', 'onnx', 'onnxruntime', 'optimum'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout
