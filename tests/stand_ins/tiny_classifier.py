"""A classifier small enough to predict by hand, with words that make it misbehave as no trained one will on demand."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, models, pre_tokenizers

from export.bundle.bundling import BundleParts, describe_bundle

# `crash` has an id beyond the table, so ONNX Runtime refuses the batch that holds it.
WORDS = {"[UNK]": 0, "hard": 1, "easy": 2, "nan": 3, "crash": 4}


def write_tiny_bundle(directory: Path, *, labels: tuple[str, str], word_order: dict[str, int] = WORDS) -> Path:
    """Write a bundle in which `hard` means labels[1] and `easy` labels[0]; `word_order` gives the token ids."""
    directory.mkdir(parents=True)
    table = np.zeros((4, 2), dtype=np.float32)
    table[word_order["hard"]] = (0, 3)
    table[word_order["easy"]] = (3, 0)
    table[word_order["nan"]] = np.nan
    _write_graph(directory / "model.onnx", table)
    tokenizer = Tokenizer(models.WordLevel(word_order, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(directory / "tokenizer.json"))
    parts = BundleParts(
        labels=list(labels),
        problem_type="single_label_classification",
        max_length=64,
        temperature=1.0,
        precision="fp32",
        source={},
        figures={},
    )
    describe_bundle(directory, parts)
    return directory


def _write_graph(file: Path, table: npt.NDArray[np.float32]) -> None:
    """Sum each token's row of `table`, padding masked out: logits [batch, 2]."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "middle"], ["logits"], keepdims=0),
    ]
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "s"]) for n in ("input_ids", "attention_mask")]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", 2])
    axes = [numpy_helper.from_array(np.array([axis]), name) for axis, name in ((2, "last"), (1, "middle"))]
    graph = helper.make_graph(nodes, "tiny", ids, [logits], [numpy_helper.from_array(table, "table"), *axes])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), str(file))
