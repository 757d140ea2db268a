"""The one knob means what it says: about so many alarms come by chance, whatever the noise looks like."""

from __future__ import annotations

from benchmarks.detect_calibration import false_alarms_a_day, heavy, normal, runs

KINDS = (normal, heavy, runs)
SERIES, STEP_S, WARM_TICKS, TICKS = 150, 1, 3000, 3000
"""Ten series-days of each kind, a reading a second."""


def test_false_alarms_stay_within_twice_what_was_asked_for_and_follow_the_knob() -> None:
    few, many = (false_alarms_a_day(asked, KINDS, SERIES, STEP_S, WARM_TICKS, TICKS) for asked in (4.0, 16.0))

    assert all(alarms <= 2.0 * 4.0 for alarms in few), few
    assert all(alarms <= 2.0 * 16.0 for alarms in many), many
    assert all(less < more for less, more in zip(few, many, strict=True)), (few, many)
