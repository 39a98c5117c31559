"""The usual baseline: TF-IDF over words and word pairs with logistic regression, on hashed features."""

import itertools
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from export.classifier.prompt_files import EvaluationRow

FEATURES = 2**18
EPOCHS = 6
FOLDS = 5
BATCH_ROWS = 256
LEARNING_RATE = 0.02
_WORD = re.compile(r"\w+|[^\w\s]")

Gains = npt.NDArray[np.float64]
Bag = tuple[list[int], list[float]]  # feature numbers and their TF-IDF weights, of length 1


def train_word_bag(
    rows: Sequence[EvaluationRow], labels: list[str]
) -> Callable[[Sequence[str]], npt.NDArray[np.int64]]:
    """Fit on `rows` and return a function from texts to the numbers of their labels."""
    counts = [word_counts(row.text) for row in rows]
    weights = inverse_document_frequency(counts)
    bags = [weigh(count, weights) for count in counts]
    truth = torch.tensor([labels.index(row.label) for row in rows])
    model = _fit(bags, truth, len(labels))

    def predict(texts: Sequence[str]) -> npt.NDArray[np.int64]:
        with torch.inference_mode():
            logits = model(*_tensors([weigh(word_counts(text), weights) for text in texts]))
        return np.asarray(logits.argmax(dim=1).numpy(), dtype=np.int64)

    return predict


def train_gain_bag(texts: Sequence[str], gains: npt.NDArray[np.float64]) -> Callable[[Sequence[str]], Gains]:
    """Fit one number per text by least squares and return a function that predicts it for others."""
    counts = [word_counts(text) for text in texts]
    weights = inverse_document_frequency(counts)
    target = torch.tensor(gains, dtype=torch.float32)
    model = _fit([weigh(count, weights) for count in counts], target, 1, _squared_error)

    def predict(others: Sequence[str]) -> Gains:
        with torch.inference_mode():
            found = model(*_tensors([weigh(word_counts(text), weights) for text in others]))
        return np.asarray(found[:, 0].numpy(), dtype=np.float64)

    return predict


def cross_validated(rows: Sequence[EvaluationRow], labels: list[str]) -> npt.NDArray[np.int64]:
    """Return each row's label as a word bag trained on the other folds gives it; every fifth row is one fold."""
    predicted = np.zeros(len(rows), dtype=np.int64)
    for fold in range(FOLDS):
        rest = [row for index, row in enumerate(rows) if index % FOLDS != fold]
        predicted[fold::FOLDS] = train_word_bag(rest, labels)([row.text for row in rows[fold::FOLDS]])
    return predicted


def word_counts(text: str) -> Counter[int]:
    """Count the words and neighbouring pairs of words of `text`, by feature number."""
    words = _WORD.findall(text.lower())
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(words)]
    return Counter(zlib.crc32(term.encode()) % FEATURES for term in (*words, *pairs))


def inverse_document_frequency(counts: Sequence[Counter[int]]) -> npt.NDArray[np.float64]:
    """Return one weight per feature: 1 + ln((1 + texts) / (1 + texts with it)), as scikit-learn smooths it."""
    texts_with = np.zeros(FEATURES)
    for count in counts:
        texts_with[list(count)] += 1
    return np.asarray(1 + np.log((1 + len(counts)) / (1 + texts_with)))


def weigh(count: Counter[int], weights: npt.NDArray[np.float64]) -> Bag:
    features = list(count)
    values = np.array([1 + np.log(count[feature]) for feature in features]) * weights[features]
    norm = float(np.linalg.norm(values)) or 1.0
    return features, [float(value) / norm for value in values]


class _LogisticRegression(torch.nn.Module):
    def __init__(self, labels: int) -> None:
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(FEATURES, labels, mode="sum")
        self.bias = torch.nn.Parameter(torch.zeros(labels))
        torch.nn.init.zeros_(self.bag.weight)

    def forward(self, features: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return torch.add(self.bag(features, offsets, per_sample_weights=weights), self.bias)


def _squared_error(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.mse_loss(found[:, 0], wanted)


def _fit(
    bags: list[Bag],
    truth: torch.Tensor,
    labels: int,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch.nn.functional.cross_entropy,
) -> _LogisticRegression:
    model = _LogisticRegression(labels)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(bags), generator=generator), BATCH_ROWS):
            optimiser.zero_grad()
            found = model(*_tensors([bags[index] for index in chosen.tolist()]))
            loss(found, truth[chosen]).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimiser.step()
    return model


def _tensors(bags: Sequence[Bag]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    sizes = [len(features) for features, _ in bags]
    offsets = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
    features = torch.tensor([feature for bag, _ in bags for feature in bag], dtype=torch.int64)
    return features, offsets, torch.tensor([value for _, values in bags for value in values])
