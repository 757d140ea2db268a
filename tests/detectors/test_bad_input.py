"""What may not hurt the default as a whole: readings that make no sense, clocks that jump, series of all paces at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from detectors.plan import PLAN
from detectors.stage import DetectorStage
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import SIGNALS, canonical_series, derived_series
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Samples, Series, SeriesSet

GPU = {"gpu": "0"}
SERIES = tuple(canonical_series("shop", name, GPU if "gpu" in SIGNALS[name].labels else None) for name in PLAN)
RATE = canonical_series("shop", "requests_per_second")
START_MS = 1_700_000_000_000


def stage(series: Sequence[Series] = SERIES) -> DetectorStage:
    judge = DetectorStage({"shop": Objective(latency_p99_seconds=0.150, errors_ratio=0.01)})
    judge.process([Record("series", 0, 0, "shop", SeriesSet("shop", tuple(series)))], now_ms=0)
    return judge


def given(judge: DetectorStage, second: float, value: Float64 | float, series: Sequence[Series] = SERIES) -> list[Outgoing]:
    ids = np.array([one.id for one in series], dtype=np.uint64)
    time_ms = np.full(len(ids), START_MS + round(1000 * second), dtype=np.int64)
    tick = Samples("shop", "", time_ms, ids, np.broadcast_to(np.asarray(value, dtype=np.float64), (len(ids),)).copy())
    outgoing = list(judge.process([Record("samples", 0, 0, "shop", tick)], now_ms=0))
    for out in outgoing:
        if out.topic == "judgements":
            assert np.isfinite(out.message.value).all()
    return outgoing


def anomalies(outgoing: Sequence[Outgoing]) -> list[Anomaly]:
    return [out.message for out in outgoing if out.topic == "anomalies" and out.message.end_ms is None]


def usual(seed: int) -> Float64:
    return 1.0 + 0.05 * np.random.default_rng(seed).standard_normal(len(SERIES))


NONSENSE = [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -1.0, 0.0]


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("warm_s", [0, 60])
def test_a_reading_that_makes_no_sense_is_survived(value: float, warm_s: int) -> None:
    judge = stage()
    for second in range(warm_s):
        given(judge, second, usual(second))
    for second in range(warm_s, warm_s + 80):
        given(judge, second, value if second % 3 else usual(second))
    for second in range(warm_s + 80, warm_s + 100):
        given(judge, second, usual(second))


def test_what_is_not_a_number_is_as_if_it_were_not_there() -> None:
    one, other = stage(), stage()
    for second in range(80):
        given(one, second, usual(second))
        given(other, second, usual(second))
        given(other, second + 0.5, np.nan)

    assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-300, 1e300])
def test_constants_never_alarm(value: float) -> None:
    harmless = [one for one in SERIES if PLAN[one.name].methods != ("floor",) and "objective" not in PLAN[one.name].methods]
    judge = stage(harmless)

    assert [a.reason for second in range(400) for a in anomalies(given(judge, second, value, harmless))] == []


def test_a_series_that_comes_twice_in_a_tick_counts_once() -> None:
    once, twice = stage((RATE,)), stage((RATE,))
    for second in range(60):
        value = 100.0 + usual(second)[0]
        given(once, second, value, (RATE,))
        given(twice, second, np.array([value, 9e9]), (RATE, RATE))

    assert once.snapshot() == twice.snapshot()


def test_stamps_that_repeat_or_go_back_are_not_judged() -> None:
    judge = stage()
    for second in range(60):
        given(judge, second, usual(second))
    before = judge.snapshot()

    assert [given(judge, second, 1e9) for second in (59, 59, 30, -86_400)] == [[]] * 4
    assert judge.snapshot() == before


def test_a_slow_series_is_judged_beside_fast_ones() -> None:
    slow = canonical_series("shop", "gpu_power_watts", GPU)
    judge = stage((RATE, slow))
    rng = np.random.default_rng(0)
    told: list[Outgoing] = []
    for second in range(0, 8 * 3600, 20):
        fast = 100.0 + rng.standard_normal()
        if second % 600:
            told += given(judge, second, np.array([fast]), (RATE,))
        else:
            watts = 200.0 + rng.standard_normal() + (400.0 if second >= 7 * 3600 else 0.0)
            told += given(judge, second, np.array([fast, watts]), (RATE, slow))

    score = derived_series("recwatch_score", slow, "robust_band").id
    judged = sum(int((out.message.series_id == score).sum()) for out in told if out.topic == "judgements")
    assert judged == 8 * 6 - 25
    (found,) = anomalies(told)
    assert found.series == slow.key
    assert (found.start_ms - START_MS) / 1000 == 7 * 3600


def test_a_clock_that_jumps_ahead_and_back_leaves_the_series_judged() -> None:
    judge = stage((RATE,))
    for second in range(60):
        given(judge, second, 100.0 + usual(second)[0], (RATE,))
    for second in range(10 * 365 * 86_400, 10 * 365 * 86_400 + 60):
        told = given(judge, second, 100.0 + usual(second % 1000)[0], (RATE,))

    assert any(out.topic == "judgements" for out in told)
    assert anomalies(told) == []


def test_anomalies_of_what_wanders_are_told_with_figures() -> None:
    """The memory of GPUs, hour after hour to its limit and back, in noise of all sizes that comes in runs."""
    gpus, minutes, rng = np.arange(60), 60 * 16, np.random.default_rng(4)
    series = [canonical_series("shop", "gpu_memory_used_ratio", {"gpu": str(gpu)}) for gpu in gpus]
    shocks = rng.standard_normal((minutes, len(gpus)))
    for minute in range(1, minutes):
        shocks[minute] += 0.7 * shocks[minute - 1]
    wave = np.sin(gpus + np.arange(minutes)[:, None] * 2.0 * np.pi / minutes)
    used = np.clip(0.5 + 0.5 * wave + np.geomspace(0.01, 0.1, len(gpus)) * shocks, 0.0, 1.0)
    judge = stage(series)

    raised = [a for minute, value in enumerate(used) for a in anomalies(given(judge, 60.0 * minute, value, series))]

    assert len(raised) > 30
    assert not any("nan" in anomaly.reason for anomaly in raised)
