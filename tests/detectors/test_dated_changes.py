"""Changes of level after the fact: when they were, between which levels, and how sure the date is."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.dated_changes import dated_change, dated_changes
from recwatch.core.signals import Float64


def in_runs(share: float, rows: int, seed: int) -> Float64:
    """Noise of variance 1, a share of which goes over to the next reading."""
    fresh, noise = np.random.default_rng(seed).standard_normal(rows), np.zeros(rows)
    for row in range(rows):
        noise[row] = share * noise[row - 1] + fresh[row] * np.sqrt(1.0 - share**2)
    return noise


@pytest.mark.parametrize(("share", "shift"), [(0.0, 3.0), (0.0, 20.0), (0.0, 300.0), (0.8, 5.0)])
def test_a_shift_lies_within_its_interval_at_least_nine_times_of_ten(share: float, shift: float) -> None:
    found = [dated_changes(100.0 + in_runs(share, 200, seed) + np.repeat([0.0, shift], [130, 70])) for seed in range(20)]
    within = [any(c.earliest <= 130 <= c.latest for c in changes) for changes in found]
    assert sum(within) >= 18
    assert np.median([c.latest - c.earliest for changes in found for c in changes]) <= 4
    assert np.median([c.after - c.before for changes in found for c in changes]) == pytest.approx(shift, abs=0.5)


def test_the_levels_are_those_from_change_to_change() -> None:
    up, down = dated_changes(in_runs(0.0, 300, 1) + np.repeat([10.0, 40.0, 12.0], 100))
    assert (up.row, down.row) == (100, 200)
    assert up.after == down.before == pytest.approx(40.0, abs=0.5)
    assert up.before == pytest.approx(10.0, abs=0.5)
    assert down.after == pytest.approx(12.0, abs=0.5)


def test_what_was_soon_over_leaves_the_level_as_it_was() -> None:
    values = 10.0 + in_runs(0.0, 300, 2)
    values[:3], values[150:154] = 900.0, 500.0
    assert dated_changes(values) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_noise_has_one_level(share: float) -> None:
    assert [dated_changes(100.0 + in_runs(share, 500, seed)) for seed in range(5)] == [[]] * 5


@pytest.mark.parametrize("values", [[], [1.0], [7.0] * 40, [0.0] * 20 + [1e308, -1e308] + [0.0] * 20])
def test_where_there_is_no_second_level_nothing_changed(values: list[float]) -> None:
    assert dated_changes(np.array(values)) == []


@pytest.mark.parametrize(("share", "shift"), [(0.0, 4.0), (0.0, 300.0), (0.8, 6.0)])
def test_a_change_between_levels_that_are_known_lies_within_its_interval(share: float, shift: float) -> None:
    values = [100.0 + in_runs(share, 80, seed) + np.repeat([0.0, shift], [66, 14]) for seed in range(20)]
    found = [change for series in values if (change := dated_change(series, old=50, new=8)) is not None]
    assert len(found) == 20
    assert sum(change.earliest <= 66 <= change.latest for change in found) >= 18
    assert np.median([change.after - change.before for change in found]) == pytest.approx(shift, abs=0.7)


@pytest.mark.parametrize("new", [1, 5])
def test_levels_that_differ_by_no_more_than_noise_are_one(new: int) -> None:
    values = np.array([9.0, 10.0, 11.0] * 20 + [10.5] * 5)
    assert dated_change(values, old=50, new=new) is None
