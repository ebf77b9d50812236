"""What detection must at least be: better than chance, and blind to hippus."""

from pathlib import Path

import pytest
import yaml

from src.cohort.cohort import ARTEFACT_TYPES
from src.cohort.synthetic import generate, generate_hippus
from src.combination import Step
from src.evaluation.signal_quality import detection_quality

CONFIGS = Path(__file__).parents[2] / "configs" / "outlier"


@pytest.mark.parametrize("name", ["pupil-gt", "SpeedMAD", "Hampel"])
def test_better_than_a_random_mask_of_the_same_size_and_under_2_percent_of_hippus(name):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    detector = Step.from_config("outlier", name, config, "quick").build()
    cohort = generate(n_recordings=30, n_controls=10, n_glaucoma=8, seed=77)
    hippus = generate_hippus(cohort.time, 20, seed=78)
    detector.fit(cohort)
    mask = detector.detect(cohort)
    row = detection_quality(mask, cohort.truth_mask, cohort.artefact_type, ARTEFACT_TYPES)[0]
    assert row["f1"] > 2 * row["f1_random"]
    assert detector.detect(hippus).mean() < 0.02
