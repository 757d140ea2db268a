"""Where a band must end so that the peaks of a series seldom reach it."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.peaks import Peaks
from recwatch.core.signals import Float64

ROW = np.arange(40)
THOUSANDTH = np.full(len(ROW), 3.0)


def taught(log_excess: Float64) -> Peaks:
    """Peaks of one reading each, a line a peak, with a reading within the threshold after each."""
    peaks = Peaks(prior_peaks=15.0)
    for line in log_excess:
        assert not len(peaks.note(ROW, line))
        assert len(peaks.note(ROW, np.zeros(len(ROW)))) == len(ROW)
    return peaks


@pytest.mark.parametrize("index", [0.15, 0.3, 0.5])
def test_the_reach_of_a_pareto_tail_is_that_of_its_law(index: float) -> None:
    peaks = taught(index * np.random.default_rng(0).standard_exponential((2000, len(ROW))))

    assert np.median(peaks.reach(ROW, THOUSANDTH)) == pytest.approx(1000.0**index, rel=0.2)


def test_an_exponential_tail_is_not_taken_for_a_pareto_one() -> None:
    size = 1.0 + 0.15 * np.random.default_rng(0).standard_exponential((2000, len(ROW)))
    reach = taught(np.log(size)).reach(ROW, THOUSANDTH)

    assert np.median(reach) == pytest.approx(1.0 + 0.15 * np.log(1000.0), rel=0.1)


def test_a_run_has_one_peak_its_largest() -> None:
    in_runs, alone = Peaks(prior_peaks=15.0), taught(np.full((50, len(ROW)), 0.4))
    for _ in range(50):
        for log_excess in (0.1, 0.4, 0.2, 0.0, 0.0):
            in_runs.note(ROW, np.full(len(ROW), log_excess))

    np.testing.assert_array_equal(in_runs.reach(ROW, THOUSANDTH), alone.reach(ROW, THOUSANDTH))
