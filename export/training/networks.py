"""The networks that train: a classifier with its side tasks, which do not ship, and the teacher it learns from."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from export.classifier.third_party import quiet_libraries


class Outputs(msgspec.Struct, frozen=True):
    """float32 tensors: logits [batch, labels], topic logits [batch, topics], prompt vectors [batch, hidden]."""

    logits: Any
    topic_logits: Any
    vectors: Any


class StudentNetwork(nn.Module):
    """Any Hugging Face sequence classifier whose last layer has a row for each label and then for each topic.

    `vector_size` is that of the teacher's prompt vectors, 0 without a teacher.
    """

    def __init__(self, classifier: Any, labels: int, vector_size: int = 0) -> None:
        super().__init__()
        self.classifier = classifier
        self.label_count = labels
        self.vectors = nn.Linear(classifier.config.hidden_size, vector_size) if vector_size else None

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> Outputs:
        answer = self.classifier(input_ids=ids, attention_mask=mask, output_hidden_states=self.vectors is not None)
        logits = answer.logits.float()
        vectors = None
        if self.vectors is not None:
            vectors = self.vectors(mean_of_tokens(answer.hidden_states[-1].float(), mask)).float()
        return Outputs(logits[:, : self.label_count], logits[:, self.label_count :], vectors)


def last_layer(classifier: Any, outputs: int) -> str:
    """Return the name of the linear layer that gives the classifier's outputs."""
    found: list[str] = []
    for name, each in classifier.named_modules():
        if isinstance(each, nn.Linear) and each.out_features == outputs:
            found.append(name)
    return found[-1]


def with_more_outputs(classifier: Any, outputs: int, more: int) -> None:
    """Give the last layer, which has `outputs` rows, `more` new ones."""
    _replace_rows(classifier, outputs, [*range(outputs), *[None] * more])


def with_rows(classifier: Any, outputs: int, rows: list[int]) -> Any:
    """Return a copy of `classifier` whose last layer has only `rows` of its `outputs`."""
    kept = copy.deepcopy(classifier)
    _replace_rows(kept, outputs, list(rows))
    return kept


def _replace_rows(classifier: Any, outputs: int, rows: Sequence[int | None]) -> None:
    name = last_layer(classifier, outputs)
    old = classifier.get_submodule(name)
    new = nn.Linear(old.in_features, len(rows), bias=old.bias is not None)
    with torch.no_grad():
        new.weight.normal_(0.0, 0.02)
        if new.bias is not None:
            new.bias.zero_()
        for at, row in enumerate(rows):
            if row is None:
                continue
            new.weight[at] = old.weight[row]
            if new.bias is not None:
                new.bias[at] = old.bias[row]
    classifier.set_submodule(name, new)
    classifier.config.num_labels = len(rows)
    classifier.num_labels = len(rows)


class TeacherNetwork(nn.Module):
    """A pre-trained encoder with one linear head per task on the mean of its token vectors."""

    def __init__(self, folder: Path, labels: int, topics: int) -> None:
        super().__init__()
        with quiet_libraries():
            from transformers import AutoModel

            self.encoder = AutoModel.from_pretrained(
                folder, add_pooling_layer=False, attention_probs_dropout_prob=0.0, attn_implementation="eager"
            )
        self.vector_size: int = self.encoder.config.hidden_size
        self.labels = nn.Linear(self.vector_size, labels)
        self.topics = nn.Linear(self.vector_size, topics)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> Outputs:
        pooled = mean_of_tokens(self.encoder(input_ids=ids, attention_mask=mask)[0].float(), mask)
        return Outputs(self.labels(pooled).float(), self.topics(pooled).float(), pooled)


def mean_of_tokens(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return [batch, hidden], the mean over the tokens that are not padding."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
