"""Changes of level: dated, sized, and not seen where noise only comes in runs."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.change_points import SURE, Change, ChangePoints
from recwatch.core.signals import Float64


def told(values: Float64) -> list[Change]:
    scan = ChangePoints()
    found = [scan.update(value) for value in values.tolist()]
    return [change for change in found if change is not None and change.probability >= SURE]


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
    assert [change.row for change in told(np.repeat([7.0, 10.0, 7.0], 30))] == [30, 60]
    (from_nothing,) = told(np.repeat([0.0, 3.0], 30))
    assert from_nothing.earliest <= 30 <= from_nothing.latest


def test_the_date_of_a_small_shift_is_less_sure_than_that_of_a_large_one() -> None:
    noise = np.random.default_rng(3).standard_normal(200)
    (small,), (large,) = (told(noise + np.repeat([0.0, shift], 100)) for shift in (2.5, 8.0))

    assert (large.earliest, large.row, large.latest) == (100, 100, 100)
    assert small.earliest <= 100 <= small.latest
    assert small.earliest < small.latest


def test_where_the_same_step_came_often_it_is_no_change_any_more() -> None:
    """The noise that is expected of a new level is what was seen so far, steps among it."""
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.choice([-5.0, 5.0], 60))
    values = np.repeat(steps, 10) + rng.standard_normal(600)

    assert len(told(values[:300])) > len(told(values)) - len(told(values[:300]))


def test_readings_of_any_size_leave_a_judgement_that_is_finite() -> None:
    scan = ChangePoints()
    values = [0.0] * 20 + [1e308, -1e308] + [1.0] * 40
    changes = [change for change in map(scan.update, values) if change is not None]

    assert all(np.isfinite([change.before, change.after, change.probability]).all() for change in changes)
