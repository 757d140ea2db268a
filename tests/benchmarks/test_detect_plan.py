"""What was raised of a trouble counts as found in time, or as false, or not at all."""

from __future__ import annotations

import numpy as np

from benchmarks.detect_plan import Told
from benchmarks.made_troubles import BEGINS_H, HOUR_TICKS, NORMAL, Trouble
from recwatch.core.canonical import canonical_series

BEGINS = BEGINS_H * HOUR_TICKS
SERIES = [canonical_series("shop", "cache_hit_ratio", {"model": str(copy)}) for copy in range(3)]


def test_only_what_is_raised_in_time_is_found_and_only_what_came_before_is_false() -> None:
    leap = Trouble("a leap", "cache_hit_ratio", 0.6, by=-0.2, copies=3)
    raised = [(0, BEGINS + 9), (0, BEGINS + 4), (1, BEGINS + HOUR_TICKS), (1, 10), (2, BEGINS - 1)]
    told = Told(leap, SERIES, {"level_shift": raised})

    np.testing.assert_array_equal(told.delay_ticks("level_shift"), [4.0, np.inf, np.inf])
    assert told.false("level_shift") == 1
    assert told.well_days == 3 * 22 / 24


def test_a_leak_is_used_up_in_its_time_and_what_is_stuck_repeats_itself() -> None:
    leak = Trouble("a leak", "gpu_memory_used_ratio", 0.5, by=0.5, over_h=1.0, copies=2)
    stuck = Trouble("stuck", "gpu_power_watts", 180.0, 8.0, noises=(NORMAL,), copies=2, stuck=True)
    leaking, standing = (np.array(list(one.readings(seed=1))) for one in (leak, stuck))

    np.testing.assert_allclose(
        leaking[[BEGINS - 1, BEGINS + HOUR_TICKS // 2 - 1, BEGINS + HOUR_TICKS]][:, 0], [0.5, 0.75, 1.0]
    )
    assert (standing[BEGINS:] == standing[BEGINS]).all()
    assert len(np.unique(standing[:BEGINS])) > BEGINS
