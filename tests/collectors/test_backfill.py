"""What the past is made into: the rows that scraping would have given, however it is cut."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from collectors.backfill import Filled, Stretch, filled, filled_signal, stretches
from collectors.past import Past
from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Int64
from tests.collectors.scenes import short

STEP_MS = 60_000
START_MS = 1_700_000_040_000
WHOLE = Stretch(START_MS, START_MS + 30 * STEP_MS, STEP_MS)
Rows = Counter[tuple[str, int, float]]


def past_of(series: Mapping[str, Float64], time_ms: Int64, **labels: str) -> Past:
    """Series by their name, with `{label=value}` after it where they have more labels than the shared ones."""
    known = []
    for text in series:
        name, _, more = text.partition("{")
        known.append({"__name__": name, **dict(re.findall(r"(\w+)=([^,}]+)", more)), **labels})
    return Past(tuple(known), time_ms, np.array(list(series.values())))


def recommender(time_ms: Int64, instance: str, per_minute: float) -> Past:
    """Counts so many requests a minute, a tenth of them errors; restarts after 12 minutes, and is away from 20 to 23."""
    minute = (time_ms - START_MS) / STEP_MS
    counted = per_minute * (np.where(minute > 12, minute - 12, minute + 1000))
    away = (minute > 20) & (minute <= 23)
    counted[away] = np.nan
    return past_of(
        {
            "recommender_requests_total{outcome=ok}": 0.9 * counted,
            "recommender_requests_total{outcome=error}": 0.1 * counted,
            "recommender_request_seconds_bucket{le=0.1}": 0.5 * counted,
            "recommender_request_seconds_bucket{le=+Inf}": counted,
            "recommender_queue_depth": np.where(away, np.nan, minute),
            "unknown_things": np.where(away, np.nan, minute),
        },
        time_ms,
        job="ranker",
        instance=instance,
    )


def two(time_ms: Int64) -> Past:
    first, second = recommender(time_ms, "a:1", 600.0), recommender(time_ms, "b:1", 1200.0)
    return Past((*first.labels, *second.labels), time_ms, np.concatenate([first.value, second.value]))


def rows_of(parts: list[Filled], canonical: bool) -> Rows:
    """Every row, as often as it is there."""
    found: Rows = Counter()
    for part in parts:
        known = {series.id: series for series in part.series.series}
        for samples in part.samples:
            for series_id, time_ms, value in zip(
                samples.series_id.tolist(), samples.time_ms.tolist(), samples.value.tolist(), strict=True
            ):
                assert known[series_id].canonical == (samples.target == "")
                if known[series_id].canonical == canonical:
                    name = short(known[series_id]) if canonical else known[series_id].key
                    found[name, (time_ms - START_MS) // STEP_MS, round(value, 9)] += 1
    return found


def test_raw_rows_are_those_of_the_past_and_signals_are_made_of_them() -> None:
    past = two(WHOLE.times(lead_in=True))
    part = filled("shop", past, WHOLE)
    raw = rows_of([part], canonical=False)
    there = np.isfinite(past.value[:, past.time_ms > START_MS])
    assert len(raw) == there.sum() == 2 * 6 * 27
    assert set(raw.values()) == {1}
    depth = 'recommender_queue_depth{instance="b:1",job="ranker",service="shop"}'
    assert [row[1:] for row in raw if row[0] == depth][:2] == [(1, 1.0), (2, 2.0)]
    signals = {(name, minute): value for name, minute, value in rows_of([part], canonical=True)}
    assert signals["requests_per_second", 1] == 30.0
    assert signals["errors_ratio", 1] == 0.1
    assert signals["latency_p50_seconds", 1] == pytest.approx(0.1)
    assert signals["queue_depth", 5] == 10.0
    assert signals["requests_per_second", 13] == 30.0
    assert ("latency_p50_seconds", 21) not in signals


@pytest.mark.parametrize("steps", [1, 2, 7, 29])
@pytest.mark.parametrize("step_ms", [STEP_MS, 15_000])
def test_however_the_past_is_cut_the_rows_are_the_same(steps: int, step_ms: int) -> None:
    whole = Stretch(START_MS, WHOLE.end_ms, step_ms)
    parts = [
        filled("shop", two(one.times(lead_in=True)), one)
        for one in stretches(whole.start_ms, whole.end_ms, step_ms, steps * STEP_MS // step_ms)
    ]
    at_once = [filled("shop", two(whole.times(lead_in=True)), whole)]
    for canonical in (False, True):
        assert rows_of(parts, canonical) == rows_of(at_once, canonical)


def test_a_query_gives_a_signal_itself() -> None:
    past = past_of({"{gpu=0}": np.arange(30.0), "{gpu=1}": np.full(30, np.nan)}, WHOLE.times())
    without_names = Past(tuple({"gpu": labels["gpu"]} for labels in past.labels), past.time_ms, past.value)
    part = filled_signal("shop", "gpu_power_watts", without_names, WHOLE)
    rows = rows_of([part], canonical=True)
    assert rows == Counter(("gpu_power_watts{gpu: 0}", minute + 1, float(minute)) for minute in range(30))


def test_what_cannot_be_placed_is_refused_in_words() -> None:
    past = Past(({"pod": "a"},), WHOLE.times(lead_in=True), np.ones((1, len(WHOLE.times(lead_in=True)))))
    with pytest.raises(BadInput, match="without a name"):
        filled("shop", past, WHOLE)
    with pytest.raises(BadInput, match="carries no label"):
        filled_signal("shop", "queue_depth", past, WHOLE)
