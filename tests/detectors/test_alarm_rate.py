"""The one knob means what it says, for every method: about so many alarms come by chance, whatever the noise looks like."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature

import pytest

from benchmarks.detect_calibration import false_alarms_a_day
from benchmarks.noise import Noise, heavy, normal, runs
from detectors import METHODS
from detectors.plan import KNOB

SERIES, STEP_S, WARM_TICKS, TICKS = 150, 1, 3000, 3000
"""Ten series-days of each kind, a reading a second."""
FEW, MANY = 4.0, 16.0
BY_BOUND = {"objective", "floor", "exhaustion", "forecast"}
"""They judge by a bound that is given, or not at all."""


def alarms_a_day(name: str, kinds: Sequence[Noise], asked: float) -> list[float]:
    return false_alarms_a_day(METHODS[name](**{KNOB: asked}), kinds, SERIES, STEP_S, WARM_TICKS, TICKS)


def test_every_method_that_learns_what_is_usual_has_the_knob() -> None:
    assert {name for name in METHODS if KNOB not in signature(METHODS[name]).parameters} == BY_BOUND


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("robust_band", (normal, heavy, runs)), ("level_shift", (runs,)), ("latency_given_load", (normal, runs))],
)
def test_false_alarms_stay_within_twice_what_was_asked_for_and_follow_the_knob(name: str, kinds: Sequence[Noise]) -> None:
    """Medians of independent noise alarm at none of these; what latency learns of heavy tails takes longer."""
    few, many = alarms_a_day(name, kinds, FEW), alarms_a_day(name, kinds, MANY)

    assert all(alarms <= 2.0 * FEW for alarms in few), few
    assert all(alarms <= 2.0 * MANY for alarms in many), many
    assert all(less < more for less, more in zip(few, many, strict=True)), (few, many)


@pytest.mark.parametrize("name", ["river_sad", "river_holt_winters"])
def test_a_model_of_a_library_that_has_seen_heavy_tails_alarms_as_often_as_was_asked_for(name: str) -> None:
    """At a fixed margin of two tails it would alarm a hundred times a day."""
    (told,) = false_alarms_a_day(METHODS[name](**{KNOB: MANY}), (heavy,), 5, STEP_S, 12_000, 8000)

    assert 0.0 < told <= 2.0 * MANY
