"""What every detection method keeps, whatever it computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.detect_calibration import AtOnce
from detectors import METHODS
from detectors.exhaustion import LIMIT
from detectors.latency_given_load import CACHE, LOAD
from detectors.objective import BOUND
from detectors.panel import Batch, Detector
from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Judgement

OWN_TERMS = ("objective", "floor", "flat_line", "exhaustion", "forecast")
LEARNING = [name for name in METHODS if name not in OWN_TERMS]
"""Methods with a band around what they expect."""
RIVER = [name for name in METHODS if name.startswith("river_")]
STATSMODELS = [name for name in METHODS if name.startswith("statsmodels_")]
REWARMED = set(RIVER)
"""Methods whose snapshot brings them close to where they were, and says so."""
LEVEL = 10.0
SETTLE_ROWS = 320
"""A confirmed shift takes 300 readings by default; the median of a window of 11 takes a few more to move."""
SETTLE_LATE_ROWS = 3620
LATE = {"latency_given_load"}
"""What users feel is taken for normal late, and an hour at most is enough."""
QUICK: dict[str, dict[str, Any]] = {
    "river_half_space_trees": {"window_rows": 25},
    "forecast": {"horizon_s": 5.0},
    **{name: {"bucket_s": 1.0, "history_days": 0.0005, "refit_minutes": 0.5} for name in STATSMODELS},
}
"""Parameters with which a method is warm after thirty readings a second apart."""


def made(name: str) -> Detector:
    worker = {"worker": AtOnce()} if name in STATSMODELS else {}
    return METHODS[name](**QUICK.get(name, {}), **worker)


every_method = pytest.mark.parametrize("name", METHODS)
every_learning_method = pytest.mark.parametrize("name", LEARNING)


def batch(values: Float64, second: int, row: np.ndarray | None = None) -> Batch:
    """One reading a row at a load that does not change."""
    count = len(values)
    at = np.arange(count) if row is None else row
    beside = {LOAD: np.full(count, 100.0), CACHE: np.full(count, 0.6), BOUND: np.full(count, 2 * LEVEL)}
    beside |= {LIMIT: np.full(count, 100 * LEVEL)}
    return Batch(at, np.full(count, second * 1000), np.asarray(values, dtype=np.float64), beside)


def noise(seed: int, seconds: int, rows: int = 3) -> Float64:
    """Readings around LEVEL, one line a second."""
    return LEVEL + np.random.default_rng(seed).standard_normal((seconds, rows))


def run(detector: Detector, values: Float64, start: int = 0) -> list[Judgement]:
    return [detector.update(batch(line, start + second)) for second, line in enumerate(values)]


def columns(judgement: Judgement) -> Iterator[Float64]:
    yield from (judgement.score, judgement.expected, judgement.lower, judgement.upper)


def assert_equal(left: Judgement, right: Judgement, tolerance: float = 0.0) -> None:
    for mine, other in zip(columns(left), columns(right), strict=True):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_every_method_is_registered_under_its_own_name() -> None:
    assert {name: METHODS[name]().name for name in METHODS} == {name: name for name in METHODS}


@every_method
def test_scores_do_not_depend_on_what_comes_after(name: str) -> None:
    past = noise(1, 80)
    calm, stormy = noise(2, 20), 50.0 * noise(3, 20)

    told = run(made(name), np.concatenate([past, calm]))
    other = run(made(name), np.concatenate([past, stormy]))

    for left, right in zip(told[:80], other[:80], strict=True):
        assert_equal(left, right)


@every_learning_method
def test_a_reading_is_scored_before_it_is_learnt(name: str) -> None:
    past = noise(1, 80)
    one, other = made(name), made(name)
    run(one, past)
    run(other, past)

    calm = one.update(batch(np.full(3, LEVEL), 80))
    high = other.update(batch(np.full(3, 3 * LEVEL), 80))

    np.testing.assert_array_equal(calm.expected, high.expected)
    np.testing.assert_array_equal(calm.upper, high.upper)


@every_method
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    straight, shuffled = made(name), made(name)
    for second, line in enumerate(noise(4, 60, rows=7)):
        order = np.random.default_rng(second).permutation(7)
        told = straight.update(batch(line, second))
        other = shuffled.update(batch(line[order], second, row=order))
        for mine, theirs in zip(columns(told), columns(other), strict=True):
            np.testing.assert_array_equal(mine[order], theirs)


@every_method
def test_a_row_is_judged_alone(name: str) -> None:
    together, alone = made(name), made(name)
    values = noise(5, 60)
    values[:, 1] *= 30.0
    for second, line in enumerate(values):
        told = together.update(batch(line, second))
        other = alone.update(batch(line[:1], second))
        for mine, theirs in zip(columns(told), columns(other), strict=True):
            np.testing.assert_array_equal(mine[:1], theirs)


@every_learning_method
def test_a_method_abstains_while_it_warms_up_and_says_how_far_it_is(name: str) -> None:
    detector = made(name)
    row = np.arange(3)
    ratios, abstained = [], []
    for second, line in enumerate(noise(6, 40)):
        ratios.append(detector.warmup_ratio(row)[0])
        told = detector.update(batch(line, second))
        abstained.append([bool(np.isnan(column).all()) for column in columns(told)])

    assert ratios[0] == 0.0
    assert ratios == sorted(ratios)
    assert ratios[30] == 1.0
    assert abstained == [[ratio < 1.0] * 4 for ratio in ratios]


def test_objective_needs_no_warm_up() -> None:
    told = METHODS["objective"]().update(batch(np.array([LEVEL, 2 * LEVEL, 4 * LEVEL]), 0))

    np.testing.assert_allclose(told.score, [0.5, 1.0, 2.0])
    np.testing.assert_allclose(told.upper, 2 * LEVEL)


def test_a_share_below_its_floor_scores_above_one_from_the_first_reading() -> None:
    told = METHODS["floor"]().update(batch(np.array([1.0, 0.995, 0.5, 0.0]), 0))

    np.testing.assert_allclose(told.score, [0.0, 1.005, 1.5, 2.0])
    np.testing.assert_allclose(told.expected, 1.0)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "floor"])
@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0, 1.41e9])
def test_a_flat_line_never_alarms(name: str, level: float) -> None:
    detector = made(name)
    for second in range(400):
        values = np.full(3, level)
        beside = {LOAD: values, CACHE: values, BOUND: values + 1.0, LIMIT: values + 1.0}
        told = detector.update(Batch(np.arange(3), np.full(3, second * 1000), values, beside))
        assert not (told.score >= 1.0).any()


@pytest.mark.parametrize("name", ["robust_band", "level_shift", *RIVER, *STATSMODELS])
def test_a_counter_that_stood_at_zero_alarms_when_it_moves(name: str) -> None:
    detector = made(name)
    run(detector, np.zeros((100, 1)))

    told = run(detector, np.full((15 if name == "river_kswin" else 10, 1), 3.0), start=100)

    assert told[-1].score[0] >= 1.0


@every_learning_method
def test_a_flagged_outlier_moves_the_band_by_no_more_than_its_half_width(name: str) -> None:
    detector = made(name)
    run(detector, noise(7, 100))
    before = detector.update(batch(np.full(3, 1e6 * LEVEL), 100))
    half_width = before.upper - before.expected

    after = detector.update(batch(np.full(3, LEVEL), 101))

    assert (np.abs(after.expected - before.expected) <= half_width).all()
    assert (np.abs((after.upper - after.expected) - half_width) <= half_width).all()


@every_learning_method
def test_a_shift_that_stays_becomes_the_new_baseline(name: str) -> None:
    detector = made(name)
    run(detector, noise(8, 100))
    settle_rows, surprised_rows = (SETTLE_LATE_ROWS, 900) if name in LATE else (SETTLE_ROWS, 60)
    shifted = 5.0 * LEVEL + noise(9, settle_rows + 80)
    told = run(detector, shifted, start=100)

    assert all((judgement.score >= 1.0).all() for judgement in told[12:surprised_rows])
    assert all((judgement.score < 1.0).all() for judgement in told[settle_rows:])
    np.testing.assert_allclose(told[-1].expected, 6.0 * LEVEL, rtol=0.1)


@every_method
def test_what_was_learnt_survives_a_snapshot(name: str) -> None:
    going, restored = made(name), made(name)
    run(going, noise(10, 70))
    restored.restore(going.state())
    row = np.arange(3)

    np.testing.assert_array_equal(restored.warmup_ratio(row), going.warmup_ratio(row))
    for second, line in enumerate(noise(11, 50)):
        tolerance = 0.5 if name in REWARMED else 0.0
        told, other = going.update(batch(line, 70 + second)), restored.update(batch(line, 70 + second))
        assert_equal(told, other, tolerance)


@every_method
def test_a_snapshot_does_not_change_with_its_detector(name: str) -> None:
    detector = made(name)
    run(detector, noise(12, 40))
    kept = {column: array.copy() for column, array in detector.state().items()}
    taken = detector.state()
    run(detector, noise(13, 40), start=40)

    for column, array in taken.items():
        np.testing.assert_array_equal(array, kept[column])


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@every_method
@settings(max_examples=25, deadline=None)
@given(values=arrays(np.float64, (45, 2), elements=finite), load=finite)
def test_any_finite_reading_is_judged_without_complaint(name: str, values: Float64, load: float) -> None:
    detector = made(name)
    for second, line in enumerate(values):
        beside = {LOAD: np.full(2, load), CACHE: np.full(2, load), BOUND: np.full(2, abs(load)), LIMIT: np.full(2, load)}
        told = detector.update(Batch(np.arange(2), np.full(2, second * 900_000), line, beside))
        for column in columns(told):
            assert not np.isinf(column).any()
        assert not (told.score < 0.0).any()


@every_learning_method
def test_a_snapshot_that_lacks_a_column_is_refused(name: str) -> None:
    state = made(name).state()
    state.pop(next(iter(state)))

    with pytest.raises(BadInput, match="lacks"):
        made(name).restore(state)
