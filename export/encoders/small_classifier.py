"""The small ModernBERT that ships: its shape, and how it starts from another model's token embeddings."""

from pathlib import Path
from typing import Any

import msgspec
import torch
from tokenizers import Tokenizer

from export.classifier.third_party import quiet_libraries

LONGEST_TOKENS = 512
HEAD_SIZE = 64
EMBEDDING_SPREAD = 0.5
CPU_ATTENTION = "eager"  # on a CPU twice as fast to train as torch's fused attention


class SmallShape(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a ModernBERT; the default is what fits the bundled 8 MB after int8."""

    hidden: int = 256
    layers: int = 7

    @property
    def heads(self) -> int:
        return max(self.hidden // HEAD_SIZE, 1)

    @property
    def intermediate(self) -> int:
        return self.hidden * 3 // 2


def new_classifier(shape: SmallShape, tokenizer: Tokenizer, labels: list[str]) -> Any:
    """Return an untrained ModernBertForSequenceClassification with mean pooling over the text's tokens."""
    with quiet_libraries():
        from transformers import ModernBertConfig, ModernBertForSequenceClassification

    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=LONGEST_TOKENS,
        global_attn_every_n_layers=1,  # prompts are short: attending to all of one costs nothing
        global_rope_theta=10_000.0,
        classifier_pooling="mean",
        classifier_dropout=0.1,
        embedding_dropout=0.1,
        mlp_dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
        bos_token_id=tokenizer.token_to_id("[CLS]"),
        eos_token_id=tokenizer.token_to_id("[SEP]"),
        cls_token_id=tokenizer.token_to_id("[CLS]"),
        sep_token_id=tokenizer.token_to_id("[SEP]"),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="single_label_classification",
        reference_compile=False,
        attn_implementation=CPU_ATTENTION,
    )
    return ModernBertForSequenceClassification(config)


def start_embeddings(classifier: Any, tokenizer: Tokenizer, donor: Path, donor_tokenizer: Tokenizer) -> None:
    """Set the token embeddings to the principal components of those of the BERT in `donor`.

    A piece the donor lacks gets the mean of the pieces the donor would write it with.
    """
    table = _donor_rows(tokenizer, donor, donor_tokenizer)
    centred = table - table.mean(0)
    target = classifier.get_input_embeddings().weight
    components = torch.linalg.svd(centred, full_matrices=False)[2][: target.shape[1]]
    reduced = centred @ components.T
    with torch.no_grad():
        target[:, : len(components)] = reduced / reduced.std() * EMBEDDING_SPREAD


def _donor_rows(tokenizer: Tokenizer, donor: Path, donor_tokenizer: Tokenizer) -> torch.Tensor:
    """Return float32 [pieces of `tokenizer`, donor hidden size], rows in the order of the ids."""
    with quiet_libraries():
        from transformers import AutoModel

        source = AutoModel.from_pretrained(donor).get_input_embeddings().weight.detach()
    vocabulary = donor_tokenizer.get_vocab()
    rows = []
    for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        ids = [vocabulary[piece]] if piece in vocabulary else _spelled(donor_tokenizer, piece)
        rows.append(source[ids].mean(0))
    return torch.stack(rows)


def _spelled(donor_tokenizer: Tokenizer, piece: str) -> list[int]:
    ids: list[int] = donor_tokenizer.encode(piece.removeprefix("##"), add_special_tokens=False).ids
    return ids or [donor_tokenizer.token_to_id("[UNK]")]
