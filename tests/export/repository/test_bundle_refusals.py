"""What `semrouter bundle install` refuses: every way a bundle can be wrong, in the words a person sees."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper
from tokenizers import Tokenizer

from export.bundle.install_commands import bundle as bundle_command
from export.classifier.inference import classify, logits_in_buckets, open_classifier
from export.classifier.prompt_files import SHIPPED_PROMPTS, read_texts
from export.repository.installation import install_bundle
from routing_policy.bundle import Bundle
from routing_policy.clipping import clip_text
from tests.conftest import CHECKOUT

NAME = "reasoning_classifier"
Reseal = Callable[..., Bundle]


def contents(repository: Path) -> dict[str, bytes]:
    return {str(file.relative_to(repository)): file.read_bytes() for file in repository.rglob("*") if file.is_file()}


def install(directory: Path, repository: Path, *options: str | Path) -> Result:
    arguments = ["install", str(directory), "--repository", str(repository), *map(str, options)]
    return CliRunner().invoke(bundle_command, arguments, env={"SEMROUTER_CONFIG": None})


def cut_graph(bundle: Path, _reseal: Reseal) -> None:
    model = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(model[: len(model) // 2])


def cut_graph_with_its_hash(bundle: Path, reseal: Reseal) -> None:
    cut_graph(bundle, reseal)
    reseal(bundle)


def empty_graph(bundle: Path, _reseal: Reseal) -> None:
    (bundle / "model.onnx").write_bytes(b"")


def empty_graph_with_its_hash(bundle: Path, reseal: Reseal) -> None:
    empty_graph(bundle, reseal)
    reseal(bundle)


def empty_description(bundle: Path, _reseal: Reseal) -> None:
    (bundle / "bundle.json").write_bytes(b"")


def leave_one_label(bundle: Path, _reseal: Reseal) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(content | {"labels": ["reasoning"]}))


def leave_no_canary(bundle: Path, reseal: Reseal) -> None:
    reseal(bundle, canaries=[])


def claim_no_flips(bundle: Path, reseal: Reseal) -> None:
    """State that no dress ever flips it, and give the canaries what it says once it judges some hard and some easy."""
    model = onnx.load(bundle / "model.onnx")
    bias = next(each for each in model.graph.initializer if each.name == "classifier.bias")
    classifier = open_classifier(bundle)
    texts = read_texts(SHIPPED_PROMPTS)[:100]
    margins = logits_in_buckets(
        classifier.session, [clip_text(classifier.tokenizer, text, 256).ids for text in texts], [256], 8
    )
    shift = np.median(margins[:, 1] - margins[:, 0])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.array([shift, 0], np.float32), bias.name))
    onnx.save(model, bundle / "model.onnx")
    reseal(bundle, figures={"dress": {"lost": 0.0, "raised": 0.0, "dresses": 1}})
    rows = classify(open_classifier(bundle), [canary.text for canary in classifier.bundle.canaries], batch_size=1)
    canaries = [
        {"text": canary.text, "scores": dict(zip(classifier.bundle.labels, map(float, row), strict=True))}
        for canary, row in zip(classifier.bundle.canaries, rows, strict=True)
    ]
    reseal(bundle, canaries=canaries)


def remove_tokenizer(bundle: Path, _reseal: Reseal) -> None:
    (bundle / "tokenizer.json").unlink()


def remove_description(bundle: Path, _reseal: Reseal) -> None:
    (bundle / "bundle.json").unlink()


def break_tokenizer(bundle: Path, reseal: Reseal) -> None:
    (bundle / "tokenizer.json").write_text("{}")
    reseal(bundle)


def change_graph(bundle: Path, reseal: Reseal, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(bundle / "model.onnx")
    change(model)
    onnx.save(model, bundle / "model.onnx")
    reseal(bundle)


def rename_input(bundle: Path, reseal: Reseal) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "tokens"
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                if name == "input_ids":
                    node.input[index] = "tokens"

    change_graph(bundle, reseal, change)


def rename_input_everywhere(bundle: Path, reseal: Reseal) -> None:
    rename_input(bundle, reseal)
    reseal(bundle, inputs=["tokens", "attention_mask"])


def rename_output(bundle: Path, reseal: Reseal) -> None:
    reseal(bundle, output="scores")


def fix_batch(bundle: Path, reseal: Reseal) -> None:
    change_graph(
        bundle, reseal, lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 1)
    )


def use_future_opset(bundle: Path, reseal: Reseal) -> None:
    change_graph(bundle, reseal, lambda model: setattr(model.opset_import[0], "version", 99))


def add_label(bundle: Path, reseal: Reseal) -> None:
    reseal(bundle, labels=["non-reasoning", "reasoning", "poetry"])


def rename_labels(bundle: Path, reseal: Reseal) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    canaries = [
        canary | {"scores": {"easy": canary["scores"]["non-reasoning"], "hard": canary["scores"]["reasoning"]}}
        for canary in content["canaries"]
    ]
    reseal(bundle, labels=["easy", "hard"], canaries=canaries)


def enlarge_vocabulary(bundle: Path, reseal: Reseal) -> None:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.add_tokens([f"word{index}" for index in range(2000)])
    tokenizer.save(str(bundle / "tokenizer.json"))
    reseal(bundle)


def turn_truncation_on(bundle: Path, reseal: Reseal) -> None:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.save(str(bundle / "tokenizer.json"))
    reseal(bundle)


def swap_weights(bundle: Path, reseal: Reseal) -> None:
    def change(model: onnx.ModelProto) -> None:
        head = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [2, 64])
        head.CopyFrom(numpy_helper.from_array(100 * np.flipud(numpy_helper.to_array(head)), head.name))

    change_graph(bundle, reseal, change)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(cut_graph, r"model.onnx: expected SHA-256", id="truncated graph"),
        pytest.param(cut_graph_with_its_hash, r"model.onnx: .*Protobuf parsing failed", id="truncated before hashing"),
        pytest.param(remove_tokenizer, r"tokenizer.json: named in bundle.json but missing", id="missing tokenizer"),
        pytest.param(remove_description, r"bundle.json: No such file", id="missing bundle.json"),
        pytest.param(break_tokenizer, r"tokenizer.json: is not a tokenizer", id="not a tokenizer"),
        pytest.param(rename_input, r"expected the inputs \['input_ids', .*got \['tokens'", id="other input name"),
        pytest.param(rename_input_everywhere, r"expected input_ids and attention_mask", id="input nobody fills"),
        pytest.param(rename_output, r"expected the one output 'scores', got \['logits'\]", id="other output name"),
        pytest.param(fix_batch, r"input input_ids: expected int64 \[batch, length\]", id="fixed batch"),
        pytest.param(use_future_opset, r"model.onnx: .*opset", id="opset from the future"),
        pytest.param(add_label, r"expected one output for each of the labels .*got 2", id="label without output"),
        pytest.param(rename_labels, r"labels \['non-reasoning', 'reasoning'\].*--name", id="labels of another"),
        pytest.param(enlarge_vocabulary, r"tokenizer.json: its largest token id 2\d+", id="tokenizer too large"),
        pytest.param(turn_truncation_on, r"tokenizer.json: truncation and padding must be off", id="truncation on"),
        pytest.param(empty_graph, r"model.onnx: expected SHA-256", id="empty graph"),
        pytest.param(empty_graph_with_its_hash, r"model.onnx: .*No graph was found", id="empty before hashing"),
        pytest.param(empty_description, r"bundle.json: Input data was truncated", id="empty bundle.json"),
        pytest.param(leave_one_label, r"bundle.json: .*length >= 2 - at .\$.labels", id="one label"),
        pytest.param(leave_no_canary, r"bundle.json: \$.canaries: expected texts with their scores", id="no canaries"),
        pytest.param(claim_no_flips, r"(lost|raised) .* in a dress, where bundle.json says 0.0 %", id="flips by dress"),
        pytest.param(swap_weights, r"canary .*: expected non-reasoning", id="weights of another"),
    ],
)
def test_a_bundle_that_cannot_serve_is_refused_before_anything_changes(
    damage: Callable[[Path, Reseal], None],
    message: str,
    bundle: Path,
    built_bundle: Path,
    repository: Path,
    reseal: Reseal,
) -> None:
    install_bundle(built_bundle, repository, NAME)
    before = contents(repository)
    damage(bundle, reseal)

    result = install(bundle, repository, "--name", NAME)

    assert result.exit_code == 1
    assert re.search(message, result.stderr), result.stderr
    assert result.stderr.startswith(f"Error: {bundle}: ")
    assert result.stderr.endswith("; nothing was installed\n")
    assert result.stderr.count("\n") == 1
    assert contents(repository) == before


def test_a_tokenizer_with_other_ids_is_told_by_the_canaries(repository: Path, tmp_path: Path, reseal: Reseal) -> None:
    """Hashes and sizes all agree, as where bundle.json was rebuilt after the tokenizer of another training came in."""
    shipped = CHECKOUT / "model_repository" / NAME
    install_bundle(newest(shipped), repository, NAME)
    before = contents(repository)
    given = Path(shutil.copytree(newest(shipped), tmp_path / "given"))
    rotate_ids(given / "tokenizer.json")
    reseal(given)

    result = install(given, repository)

    assert result.exit_code == 1
    assert re.fullmatch(
        rf"Error: {given}: tokenizer.json does not match the graph model.onnx, or neither is the one described:"
        r" canary '.+': expected [a-z-]+ 0\.\d+, got 0\.\d{4}; nothing was installed\n",
        result.stderr,
    )
    assert contents(repository) == before


def newest(classifier: Path) -> Path:
    return max(classifier.glob("[0-9]*"), key=lambda version: int(version.name))


def rotate_ids(file: Path) -> None:
    """Give every piece of a Unigram vocabulary, [piece, log-probability] by id, the id of the next one."""
    content = json.loads(file.read_text(encoding="utf-8"))
    special = len(content["added_tokens"])  # they come first, and keep theirs
    vocabulary = content["model"]["vocab"]
    vocabulary[special:] = [*vocabulary[special + 1 :], vocabulary[special]]
    file.write_text(json.dumps(content), encoding="utf-8")


def test_a_label_the_policy_uses_and_the_bundle_lacks_is_refused(
    bundle: Path, repository: Path, reseal: Reseal, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "classifier: levels\nabstain_onprem_model: small\nthreshold_min_conf: 0.5\nrules:\n"
        "  - {when_any: [{label: harder, min_conf: 0.5}], route_onprem_model: big, rationale: hard}\n"
    )
    rename_labels(bundle, reseal)

    refused = install(bundle, repository, "--name", "levels", "--policy", policy)
    other = install(bundle, repository, "--name", "others", "--policy", policy)

    assert refused.exit_code == 1
    assert refused.stderr == (
        f"Error: {bundle}: {policy}: $.rules[0].when_any[0].label: expected a label of levels ['easy', 'hard'],"
        " got 'harder'; nothing was installed\n"
    )
    assert other.exit_code == 0, other.output
    assert [entry.name for entry in repository.iterdir()] == ["others"]
