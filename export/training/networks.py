"""The networks that train: a classifier with its side tasks, which do not ship, and the teacher it learns from."""

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
    """Any Hugging Face sequence classifier, plus heads for topics and for the teacher's prompt vectors."""

    def __init__(self, classifier: Any, topics: int, vector_size: int) -> None:
        super().__init__()
        hidden = classifier.config.hidden_size
        self.classifier = classifier
        self.topics = nn.Linear(hidden, topics)
        self.vectors = nn.Linear(hidden, vector_size)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> Outputs:
        answer = self.classifier(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        pooled = mean_of_tokens(answer.hidden_states[-1].float(), mask)
        return Outputs(answer.logits.float(), self.topics(pooled).float(), self.vectors(pooled).float())


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
