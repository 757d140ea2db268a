"""Two stretches at equal load: how far off the ratio is, how often the interval holds it, and when nothing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.equal_load import LEAST_ROWS, Difference, Incomparable, Stretch, at_equal_load
from recwatch.core.signals import Float64

MINUTE_MS = 60_000
ROWS = 240


def in_runs(rows: int, random: np.random.Generator) -> Float64:
    """Noise with a standard deviation of 1, four fifths of which go over to the next reading."""
    fresh, noise = random.standard_normal(rows), np.zeros(rows)
    for row in range(rows):
        noise[row] = 0.8 * noise[row - 1] + 0.6 * fresh[row]
    return noise


def stretch(load: Float64, random: np.random.Generator, slower: float = 1.0, hits: float | Float64 = 0.5) -> Stretch:
    """Readings a minute apart of a queue that half of 200 requests a second would fill."""
    ratio = np.broadcast_to(hits, load.shape)
    reaching = load * (1.0 - ratio)
    latency = slower * (1.0 - ratio) * 0.010 / (1.0 - reaching / 120.0)
    return Stretch(MINUTE_MS * np.arange(len(load)), latency * np.exp(0.02 * in_runs(len(load), random)), load, ratio)


def wave(low: float, high: float, rows: int = ROWS) -> Float64:
    """A load that goes up and down, four times in all."""
    return low + (high - low) * np.sin(np.linspace(0.0, 4.0 * np.pi, rows)) ** 2


def of_a_peak_after_a_trough(seed: int, slower: float) -> Difference:
    random = np.random.default_rng(seed)
    found = at_equal_load(stretch(wave(50.0, 150.0), random), stretch(wave(110.0, 190.0), random, slower))
    assert isinstance(found, Difference)
    return found


@pytest.mark.parametrize("slower", [1.0, 1.2])
def test_the_interval_holds_the_ratio_in_nine_of_ten_cases_and_is_narrow(slower: float) -> None:
    found = [of_a_peak_after_a_trough(seed, slower) for seed in range(60)]
    assert sum(one.low <= slower <= one.high for one in found) >= 54
    assert np.median([abs(one.ratio / slower - 1.0) for one in found]) < 0.01
    assert np.median([one.high / one.low for one in found]) < 1.08


def test_medians_alone_take_the_peak_for_slowness() -> None:
    random = np.random.default_rng(0)
    trough, peak = (stretch(wave(*loads), random).latency_seconds for loads in ((50.0, 150.0), (110.0, 190.0)))
    assert np.median(peak) > 1.5 * np.median(trough)


def test_only_readings_at_loads_that_both_saw_tell() -> None:
    random = np.random.default_rng(1)
    before, after = stretch(wave(50.0, 100.0), random), stretch(wave(50.0, 190.0), random, 1.1)
    after = replace(after, latency_seconds=np.where(after.requests_per_second > 120.0, 9.0, after.latency_seconds))
    found = at_equal_load(before, after)
    assert isinstance(found, Difference)
    assert found.low < 1.1 < found.high < 1.2
    assert found.shared_ratio == pytest.approx(np.mean(after.requests_per_second <= 100.0), abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_cache_that_fills_again_after_a_deploy_is_no_slowness(seed: int) -> None:
    random = np.random.default_rng(seed)
    filling = 0.5 - 0.4 * np.exp(-np.arange(ROWS) / 60.0)
    found = at_equal_load(stretch(wave(80.0, 160.0), random), stretch(wave(40.0, 140.0), random, hits=filling))
    assert isinstance(found, Difference)
    assert found.low < 1.0 < found.high < 1.1


def test_what_cannot_be_compared_says_why() -> None:
    random = np.random.default_rng(2)
    usual = stretch(wave(50.0, 100.0), random)
    few = stretch(wave(50.0, 100.0, rows=LEAST_ROWS - 1), random)
    assert at_equal_load(usual, few) == Incomparable("there are 240 readings before and 29 after, 30 are needed")
    beyond = stretch(wave(140.0, 190.0), random)
    unshared = "{} readings before and {} after are at loads that both saw, 30 are needed"
    assert at_equal_load(usual, beyond) == Incomparable(unshared.format(0, 0))
    once_before = stretch(np.repeat([160.0, 50.0], [10, ROWS - 10]), random)
    assert at_equal_load(once_before, stretch(np.full(ROWS, 160.0), random)) == Incomparable(unshared.format(10, ROWS))


def test_readings_that_are_none_and_a_few_that_are_absurd_change_little() -> None:
    random = np.random.default_rng(3)
    before, after = stretch(wave(50.0, 150.0), random), stretch(wave(50.0, 150.0), random, 1.2)
    whole = at_equal_load(before, after)
    latency, load, hits = after.latency_seconds.copy(), after.requests_per_second.copy(), after.cache_hit_ratio.copy()
    latency[[5, 60]], latency[[20, 100, 200]] = (np.nan, 0.0), 1e300
    load[[70, 71]], hits[80] = (np.inf, -1.0), 1.5
    spoilt = at_equal_load(before, Stretch(after.time_ms, latency, load, hits))
    assert isinstance(whole, Difference)
    assert isinstance(spoilt, Difference)
    assert spoilt.ratio == pytest.approx(whole.ratio, rel=0.02)
    assert spoilt.high < 1.3


@pytest.mark.parametrize("latency", [1e-308, 1e308])
def test_absurd_readings_throughout_give_finite_figures(latency: float) -> None:
    random = np.random.default_rng(4)
    usual = stretch(np.geomspace(1e-300, 1e300, ROWS), random)
    absurd = replace(usual, latency_seconds=np.full(ROWS, latency))
    found = at_equal_load(replace(usual, latency_seconds=np.full(ROWS, 0.02)), absurd)
    assert isinstance(found, Difference)
    assert np.isfinite([found.low, found.ratio, found.high]).all()


def test_a_load_that_never_moves_and_latency_without_noise_are_compared_too() -> None:
    times, load, none = MINUTE_MS * np.arange(40), np.full(40, 100.0), np.zeros(40)
    found = at_equal_load(Stretch(times, np.full(40, 0.02), load, none), Stretch(times, np.full(40, 0.03), load, none))
    assert isinstance(found, Difference)
    assert (found.low, found.ratio, found.high) == pytest.approx((1.5, 1.5, 1.5))
