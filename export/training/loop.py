"""One training loop for teacher and student: losses, learning rate, averaged weights, predictions."""

import copy
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn import functional

from .batches import grouped, padded

Report = Callable[[str], None]
WARMUP_STEPS = 50
REPORT_SECONDS = 10.0
LAST_RATE = 0.02  # of the peak learning rate


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how fast one network trains."""

    learning_rate: float
    tokens_per_batch: int = 4096
    weight_decay: float = 0.01
    label_smoothing: float = 0.05
    averaging: float = 0.99  # of the exponential moving average of the weights
    topic_share: float = 0.5
    vector_share: float = 0.5
    taught_share: float = 0.6  # of the loss that follows the teacher instead of the label
    pair_share: float = 2.0  # of the distance between the scores of a prompt and of its dressed copy


class Taught(msgspec.Struct, frozen=True):
    """What the teacher says of each row: float32 logits [rows, labels], topic logits, prompt vectors [rows, hidden]."""

    logits: torch.Tensor
    topic_logits: torch.Tensor
    vectors: torch.Tensor


class Examples(msgspec.Struct, frozen=True):
    """Rows to train on: token ids, label and topic numbers int64 [rows], weights float32 [rows]."""

    ids: list[list[int]]
    labels: torch.Tensor
    topics: torch.Tensor | None
    weights: torch.Tensor
    taught: Taught | None
    dressed: list[list[int]] | None = None  # the same rows, dressed


class Trainer:
    """A network in training: its optimiser, its averaged copy, and how many steps are behind and ahead."""

    def __init__(self, network: nn.Module, schedule: Schedule, steps: int) -> None:
        self.network = network
        self.averaged: Any = copy.deepcopy(network).eval()
        self.schedule = schedule
        self.steps = steps
        self.step = 0
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, betas=(0.9, 0.98)
        )

    def train(self, examples: Examples, rng: random.Random, report: Report) -> None:
        """Go once through `examples`."""
        self.network.train()
        begin = told = time.monotonic()
        for behind, batch in enumerate(paired_batches(examples, self.schedule, rng), start=1):
            loss = self._learn(examples, batch)
            now = time.monotonic()
            if now - told >= REPORT_SECONDS:
                told = now
                left = (now - begin) / behind * (self.steps - self.step)
                report(f"  step {self.step}/{self.steps}, loss {loss:.3f}, about {duration(left)} left")

    def _learn(self, examples: Examples, batch: list[int]) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate * rate(self.step, self.steps)
        loss = self._loss(examples, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    def _loss(self, examples: Examples, batch: list[int]) -> torch.Tensor:
        rows = torch.tensor(batch)
        bare = self._outputs(examples.ids, batch)
        loss = batch_loss(bare, examples, rows, self.schedule)
        if examples.dressed is None:
            return loss
        dressed = self._outputs(examples.dressed, batch)
        loss = (loss + batch_loss(dressed, examples, rows, self.schedule)) / 2
        return loss + self.schedule.pair_share * pair_loss(bare, dressed, examples.weights[rows])

    def _outputs(self, ids: list[list[int]], batch: list[int]) -> Any:
        tokens, mask = padded([ids[row] for row in batch])
        with half_precision():
            return self.network(tokens, mask)

    def _average(self) -> None:
        keep = min(self.schedule.averaging, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, current in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 90:  # noqa: PLR2004 - where minutes begin to say enough
        return f"{max(seconds, 0):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004 - an hour


def half_precision() -> torch.autocast:
    """Return a context that computes in bfloat16 where the processor multiplies it; elsewhere it is slower.

    On a core of an EPYC with avx512_bf16 a step of a 6-layer, 384-wide BERT takes a third of the time in bfloat16, on
    two cores of a Xeon without it 1.6 times as long.
    """
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - no public way to ask
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)


def paired_batches(examples: Examples, schedule: Schedule, rng: random.Random | None = None) -> list[list[int]]:
    """Return row numbers in batches of about `tokens_per_batch` tokens, those of the dressed copies included."""
    lengths: list[list[int]] = examples.ids
    if examples.dressed is not None:
        lengths = [bare + worn for bare, worn in zip(examples.ids, examples.dressed, strict=True)]
    return grouped(lengths, schedule.tokens_per_batch, rng)


def pair_loss(bare: Any, dressed: Any, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean distance of the scores of two copies of each row: 0 where both are judged alike."""
    losses = _distance(bare.logits, dressed.logits)
    if bare.topic_logits.shape[-1]:
        losses = losses + _distance(bare.topic_logits, dressed.topic_logits)
    return (losses * weights).mean()


def _distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return half the symmetric Kullback-Leibler divergence of softmax(one) and softmax(other), by row."""
    first, second = one.log_softmax(-1), other.log_softmax(-1)
    return ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2


def rate(step: int, steps: int) -> float:
    """Return the share of the peak learning rate at `step`: a short warm-up, then a straight line down."""
    warmup = max(min(WARMUP_STEPS, steps // 3), 1)
    return min((step + 1) / warmup, max(LAST_RATE, 1 - step / max(steps, 1)))


def batch_loss(outputs: Any, examples: Examples, rows: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """Return the weighted mean loss over the tasks this data has."""
    taught = examples.taught
    logits = None if taught is None else taught.logits[rows]
    losses = _task_loss(outputs.logits, examples.labels[rows], logits, schedule)
    if examples.topics is not None:
        logits = None if taught is None else taught.topic_logits[rows]
        losses = losses + schedule.topic_share * _task_loss(
            outputs.topic_logits, examples.topics[rows], logits, schedule
        )
    if taught is not None:
        likeness = functional.cosine_similarity(outputs.vectors, taught.vectors[rows], dim=-1)
        losses = losses + schedule.vector_share * (1 - likeness)
    return (losses * examples.weights[rows]).mean()


@torch.no_grad()
def predict(network: nn.Module, ids: Sequence[Sequence[int]], tokens_per_batch: int = 8192) -> Iterator[Any]:
    """Yield `(rows, outputs)` for every batch of `ids`, in any order."""
    network.eval()
    for rows in grouped(ids, tokens_per_batch):
        tokens, mask = padded([ids[row] for row in rows])
        with half_precision():
            yield rows, network(tokens, mask)


def _task_loss(
    logits: torch.Tensor, labels: torch.Tensor, taught: torch.Tensor | None, schedule: Schedule
) -> torch.Tensor:
    own = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=schedule.label_smoothing)
    if taught is None:
        return own
    from_teacher = functional.cross_entropy(logits, taught.softmax(-1), reduction="none")
    return (1 - schedule.taught_share) * own + schedule.taught_share * from_teacher
