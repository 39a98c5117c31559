"""One number that makes a classifier's confidence honest: the temperature its logits are divided by."""

import numpy as np
import numpy.typing as npt

SEARCH_RANGE = (-2.5, 2.5)  # natural logarithms: a temperature between 1/12 and 12
SEARCH_STEPS = 60
GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Return the temperature with the least cross-entropy of `logits` [prompts, labels] against `labels` [prompts].

    The loss has one minimum in the logarithm's range, so a golden-section search finds it.
    """
    low, high = SEARCH_RANGE
    for _ in range(SEARCH_STEPS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if cross_entropy(logits, labels, np.exp(left)) < cross_entropy(logits, labels, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def cross_entropy(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], temperature: float) -> float:
    """Return the mean negative log-likelihood of `labels` under softmax(logits / temperature)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = scaled - scaled.max(axis=-1, keepdims=True)
    log_scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-log_scores[np.arange(len(labels)), labels].mean())
