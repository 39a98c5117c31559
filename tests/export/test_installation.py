import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer

from export.errors import BundleRejected, TritonRefused, VersionNotFound
from export.installation import classifier_for, classifier_names, install_bundle, installed_versions, rollback
from export.triton_config import parse_config
from local.serving_copy import refresh_serving_copy
from routing_policy.bundle import Bundle

NAME = "reasoning_classifier"
Reseal = Callable[..., Bundle]


def contents(repository: Path) -> dict[str, bytes]:
    return {str(file.relative_to(repository)): file.read_bytes() for file in repository.rglob("*") if file.is_file()}


def versions(repository: Path) -> list[tuple[int, bool]]:
    return [(version.version, version.withdrawn) for version in installed_versions(repository, NAME)]


class RefusingTriton:
    """Refuses to load while the newest version is `bad`, and keeps what it was asked."""

    def __init__(self, repository: Path, bad: int) -> None:
        self.repository = repository
        self.bad = bad
        self.loaded: list[list[tuple[int, bool]]] = []

    def load(self, name: str) -> None:
        self.loaded.append(versions(self.repository))
        if (self.bad, False) in versions(self.repository):
            raise TritonRefused(name, "localhost:1", "out of memory")


def test_the_first_version_of_a_new_classifier_brings_its_configuration(bundle: Path, repository: Path) -> None:
    installed = install_bundle(bundle, repository, NAME)

    config = parse_config((repository / NAME / "config.pbtxt").read_text())
    assert installed.version == 1
    assert sorted(entry.name for entry in installed.directory.iterdir()) == [
        "bundle.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert config.name == NAME
    assert config.backend == "onnxruntime"
    assert [tensor.name for tensor in config.input] == ["input_ids", "attention_mask"]
    assert list(config.output[0].dims) == [2]


def test_the_next_version_joins_and_leaves_the_configuration_alone(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    before = (repository / NAME / "config.pbtxt").read_bytes()

    install_bundle(bundle, repository, NAME)

    assert versions(repository) == [(1, False), (2, False)]
    assert (repository / NAME / "config.pbtxt").read_bytes() == before


def test_a_number_is_never_used_again(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    rollback(repository, NAME)
    (repository / NAME / ".7.tmp").mkdir()

    installed = install_bundle(bundle, repository, NAME)

    assert installed.version == 8
    assert versions(repository) == [(1, False), (2, True), (8, False)]


def test_installers_at_the_same_time_get_a_version_each(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    with ThreadPoolExecutor(4) as pool:
        installed = list(pool.map(lambda _: install_bundle(bundle, repository, NAME).version, range(4)))

    assert sorted(installed) == [2, 3, 4, 5]


def test_rollback_withdraws_the_newest_version_and_loads_what_is_left(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    triton = RefusingTriton(repository, bad=0)

    serving = rollback(repository, NAME, triton.load, settle_seconds=0)

    assert serving.version == 1
    assert triton.loaded == [[(1, False), (2, True)]]


def test_a_shipped_version_that_was_withdrawn_does_not_come_back_with_the_next_start(
    bundle: Path, repository: Path, tmp_path: Path
) -> None:
    install_bundle(bundle, repository, NAME)
    install_bundle(bundle, repository, NAME)
    refresh_serving_copy(repository, tmp_path / "copy")
    rollback(tmp_path / "copy", NAME)

    refresh_serving_copy(repository, tmp_path / "copy")

    assert versions(tmp_path / "copy") == [(1, False), (2, True)]


def test_the_only_version_cannot_be_rolled_back(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    with pytest.raises(VersionNotFound, match="no version to go back to"):
        rollback(repository, NAME)

    assert versions(repository) == [(1, False)]


def test_a_version_triton_refuses_is_withdrawn_and_the_old_one_loaded(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)
    triton = RefusingTriton(repository, bad=2)

    with pytest.raises(TritonRefused, match="out of memory"):
        install_bundle(bundle, repository, NAME, triton.load)

    assert triton.loaded == [[(1, False), (2, False)], [(1, False), (2, True)]]


def test_the_classifier_with_the_same_labels_is_found_in_any_order(bundle: Path, repository: Path) -> None:
    install_bundle(bundle, repository, NAME)

    assert classifier_names(repository) == [NAME]
    assert classifier_for(repository, ["reasoning", "non-reasoning"]) == NAME
    with pytest.raises(VersionNotFound, match="--name"):
        classifier_for(repository, ["math", "code"])


def cut_graph(bundle: Path, _reseal: Reseal) -> None:
    model = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(model[: len(model) // 2])


def cut_graph_with_its_hash(bundle: Path, reseal: Reseal) -> None:
    cut_graph(bundle, reseal)
    reseal(bundle)


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

    with pytest.raises(BundleRejected, match=message):
        install_bundle(bundle, repository, NAME)

    assert contents(repository) == before


@pytest.mark.parametrize("name", ["../elsewhere", "two words", "", "a;b"])
def test_a_name_no_shell_should_see_is_refused(name: str, bundle: Path, repository: Path) -> None:
    with pytest.raises(BundleRejected, match="--name"):
        install_bundle(bundle, repository, name)

    assert contents(repository) == {}


def test_a_bundle_whose_inputs_differ_from_the_installed_configuration_needs_another_name(
    bundle: Path, repository: Path
) -> None:
    install_bundle(bundle, repository, NAME)
    config = repository / NAME / "config.pbtxt"
    config.write_text(config.read_text().replace("attention_mask", "token_type_ids"))

    with pytest.raises(BundleRejected, match=r"config.pbtxt does not fit: inputs"):
        install_bundle(bundle, repository, NAME)

    assert versions(repository) == [(1, False)]


def test_without_a_repository_the_command_that_makes_one_is_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match="semrouter up"):
        install_bundle(bundle, tmp_path / "nowhere", NAME)
