import numpy as np
import pytest

from export.calibration.temperature import fit_temperature


def test_overconfident_logits_get_the_temperature_that_undoes_it() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(20_000, 2)).astype(np.float32)
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = (rng.random(len(honest)) < shares[:, 1]).astype(np.int64)

    temperature = fit_temperature(3 * honest, labels)

    assert temperature == pytest.approx(3, rel=0.1)
