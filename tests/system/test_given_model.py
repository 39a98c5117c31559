"""SEMROUTER_MODEL_PATH and SEMROUTER_TOKENIZER_PATH serve the classifier they name, as in the guide."""

import json
from pathlib import Path

import pytest

from local.errors import StartFailed
from tests.conftest import CHECKOUT
from tests.stand_ins.tiny_classifier import write_tiny_bundle

from .conftest import DEEPSEEK, LLAMA, run_stack
from .test_guide import ask

GOOD_WORDS = {"[UNK]": 0, "hard": 1, "easy": 2, "nan": 3}


def write_guide_files(directory: Path) -> Path:
    """Leave the guide's three files and nothing else; return the path of model.onnx."""
    write_tiny_bundle(directory, labels=("non-reasoning", "reasoning"), word_order=GOOD_WORDS)
    (directory / "bundle.json").unlink()
    config = {
        "architectures": ["ModernBertForSequenceClassification"],
        "model_type": "modernbert",
        "id2label": {"0": "non-reasoning", "1": "reasoning"},
        "max_position_embeddings": 64,
    }
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory / "model.onnx"


async def test_a_given_model_is_installed_once_and_decides(tmp_path: Path) -> None:
    model = write_guide_files(tmp_path / "given")
    arguments = ("--model-path", str(model), "--tokenizer-path", str(model.with_name("tokenizer.json")))

    shipped = CHECKOUT / "model_repository" / "reasoning_classifier"
    next_version = 1 + max(int(version.name) for version in shipped.glob("[0-9]*"))

    outputs = []
    for _ in range(2):
        with run_stack(tmp_path, *arguments) as stack:
            _, hard = await ask(stack, "auto", "router", "hard")
            response, easy = await ask(stack, "auto", "router", "easy")
            outputs.append(stack.output())

        assert (hard["model"], easy["model"]) == (DEEPSEEK, LLAMA)
        assert response.headers["x-semrouter-classifier"].startswith(f"reasoning_classifier/{next_version}/")
    assert ["installed" in output for output in outputs] == [True, False]


def test_a_given_model_contradicts_the_keyword_classifier(tmp_path: Path) -> None:
    model = write_guide_files(tmp_path / "given")

    with (
        pytest.raises(StartFailed, match="SEMROUTER_MODEL_PATH: the keyword classifier serves no model"),
        run_stack(tmp_path, "--model-path", str(model), "--classifier", "keyword"),
    ):
        pass


def test_a_given_model_that_cannot_serve_is_refused_by_name(tmp_path: Path) -> None:
    model = write_guide_files(tmp_path / "given")
    model.write_bytes(model.read_bytes()[:100])

    with (
        pytest.raises(StartFailed, match=r"SEMROUTER_MODEL_PATH: .*model\.onnx"),
        run_stack(tmp_path, "--model-path", str(model)),
    ):
        pass
