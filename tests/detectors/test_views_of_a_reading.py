"""How rare a reading is depends on where the series was last, too."""

from __future__ import annotations

import numpy as np

from detectors.panel import Batch
from detectors.robust_band import RobustBand
from recwatch.core.signals import Float64, Judgement

SERIES, STEP_MS = 20, 60_000


def told(values: Float64) -> Judgement:
    """The judgement of the last line of readings, one a minute."""
    method = RobustBand()
    for minute, line in enumerate(values):
        judgement = method.update(Batch(np.arange(SERIES), np.full(SERIES, minute * STEP_MS), line, {}))
    return judgement


def test_the_band_is_wider_on_the_side_to_which_the_series_has_moved() -> None:
    values = 10.0 + np.random.default_rng(0).standard_normal((600, SERIES))
    values[-4:-1] = 12.5
    judgement = told(values)

    assert (judgement.upper - judgement.expected > judgement.expected - judgement.lower).all()


def test_a_leap_is_more_surprising_than_the_same_distance_in_steps() -> None:
    values = 10.0 + np.random.default_rng(1).standard_normal((600, SERIES))
    in_steps = values.copy()
    values[-1] = in_steps[-1] = 17.0
    in_steps[-3:-1] = 13.0

    assert (told(values).score > told(in_steps).score).all()
