"""From a classifier's logits to one score per label."""

from typing import Literal

import numpy as np
import numpy.typing as npt

ProblemType = Literal["single_label_classification", "multi_label_classification"]

_EXP_LIMIT = 700.0  # exp of more overflows a float64


def scores_from_logits(
    logits: npt.NDArray[np.float32], temperature: float, problem_type: ProblemType
) -> npt.NDArray[np.float64]:
    """Turn `logits` [batch, labels] into scores [batch, labels] in 0..1.

    Softmax rows sum to 1; the sigmoid of a multi-label classifier scores each label by itself.
    Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks".
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if problem_type == "multi_label_classification":
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scaled, -_EXP_LIMIT, _EXP_LIMIT))))
    exponents = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))
