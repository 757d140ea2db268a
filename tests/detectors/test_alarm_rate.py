"""The one knob means what it says, for every method: about so many alarms come by chance, whatever the noise looks like."""

from __future__ import annotations

from inspect import signature

import pytest

from benchmarks.detect_calibration import false_alarms_a_day
from benchmarks.noise import heavy, normal, runs
from detectors import METHODS, RIVER
from detectors.plan import KNOB

KINDS = (normal, heavy, runs)
SERIES, STEP_S, WARM_TICKS, TICKS = 150, 1, 3000, 3000
"""Ten series-days of each kind, a reading a second."""
FEW, MANY = 4.0, 16.0
BY_BOUND = {"objective", "floor", "exhaustion", "forecast"}
"""They judge by a bound that is given, or not at all."""


def alarms_a_day(name: str, asked: float) -> list[float]:
    return false_alarms_a_day(METHODS[name](**{KNOB: asked}), KINDS, SERIES, STEP_S, WARM_TICKS, TICKS)


def test_every_method_that_learns_what_is_usual_has_the_knob() -> None:
    assert {name for name in METHODS if KNOB not in signature(METHODS[name]).parameters} == BY_BOUND


@pytest.mark.parametrize("name", ["robust_band", "level_shift", "latency_given_load"])
def test_false_alarms_stay_within_twice_what_was_asked_for_and_follow_the_knob(name: str) -> None:
    few, many = alarms_a_day(name, FEW), alarms_a_day(name, MANY)

    assert all(alarms <= 2.0 * FEW for alarms in few), few
    assert all(alarms <= 2.0 * MANY for alarms in many), many
    assert all(less < more for less, more in zip(few, many, strict=True)), (few, many)


@pytest.mark.parametrize("name", [method.name for method in RIVER])
def test_heavy_tails_alarm_a_model_of_a_library_no_oftener_than_was_asked_for(name: str) -> None:
    (told,) = false_alarms_a_day(METHODS[name](**{KNOB: MANY}), (heavy,), 5, STEP_S, 1000, TICKS)

    assert told <= 2.0 * MANY
