"""Networks as imputers: what they fill in was learned, and is told from what they see."""

from pathlib import Path

import numpy as np
import pytest
from methods import build

CONFIGS = Path(__file__).parents[2] / "configs" / "imputation"


def pairs(n, sign, seed):
    """Recordings around 4 mm with two bumps; the second is `sign` times as high as the first."""
    rng = np.random.default_rng(seed)
    samples = np.arange(600)
    first, second = (np.exp(-0.5 * ((samples - centre) / 40) ** 2) for centre in (150, 420))
    height = rng.uniform(-1, 1, (n, 1))
    return 4 + height * first + sign * height * second + rng.normal(0, 0.01, (n, 600)), height[:, 0]


@pytest.mark.parametrize("name", ["SAITS", "TimesNet"])
def test_what_is_hidden_is_told_from_what_is_seen(name):
    """The mean curve is flat: how high the second bump is, only the first can tell."""
    none = np.zeros((64, 600), dtype=bool)
    unseen, height = pairs(20, +1, seed=1)
    gap = np.zeros(unseen.shape, dtype=bool)
    gap[:, 320:520] = True
    filled = []
    for sign in (+1, -1):
        method = build(
            CONFIGS / f"{name}.yaml", stride=20, epochs=40, d_model=16, d_ffn=16, learning_rate=0.005
        )
        method.fit(pairs(64, sign, seed=0)[0], none)
        filled.append(method.impute(unseen, gap).pupil[:, 420] - 4)
    assert np.corrcoef(filled[0], height)[0, 1] > 0.7
    assert np.corrcoef(filled[1], height)[0, 1] < -0.7
