"""Changes of level: dated, sized, and not seen where noise only comes in runs."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.change_points import SURE, Change, ChangePoints
from recwatch.core.signals import Float64


def told(values: Float64) -> list[Change]:
    scan = ChangePoints()
    found = [scan.update(value) for value in values.tolist()]
    return [change for change in found if change is not None and change.ratio >= SURE]


def test_a_shift_is_told_once_and_dated_within_two_readings() -> None:
    found = []
    for seed in range(20):
        values = 10.0 + np.random.default_rng(seed).standard_normal(160)
        values[80:] += 4.0
        found.append(told(values))

    true = [change for changes in found for change in changes if abs(change.row - 80) <= 2]
    assert all(any(abs(change.row - 80) <= 2 for change in changes) for changes in found)
    assert sum(len(changes) for changes in found) <= 22
    assert np.mean([change.before for change in true[:5]]) == pytest.approx(10.0, abs=0.5)
    assert np.mean([change.after for change in true[:5]]) == pytest.approx(14.0, abs=0.5)


def test_noise_that_comes_in_runs_is_no_change() -> None:
    rng, values = np.random.default_rng(0), np.zeros(400)
    for row in range(1, len(values)):
        values[row] = 0.7 * values[row - 1] + rng.standard_normal()

    assert len(told(values)) <= 2


def test_a_flat_line_never_changes_and_one_that_jumps_does() -> None:
    assert told(np.full(50, 7.0)) == []
    assert [change.row for change in told(np.repeat([0.0, 3.0], 30))] == [30]
