"""Detection on a single series, as others score it."""

from __future__ import annotations

import numpy as np

from detectors.evaluation import labelled_series_detector, run, run_together
from detectors.labelled import LabelledSeries

STEP_S = 60.0


def alarms(values: np.ndarray) -> list[int]:
    detector = labelled_series_detector({"kind": "interval", "step_s": STEP_S})
    return [at for at, value in enumerate(values) if detector.update(at * STEP_S, float(value))[1]]


def test_a_spike_is_told_once_at_its_start() -> None:
    values = 10.0 + np.random.default_rng(1).standard_normal(600)
    values[400:420] += 50.0

    assert alarms(values) == [400]


def test_a_gap_in_the_values_is_not_judged() -> None:
    values = 10.0 + np.random.default_rng(2).standard_normal(600)
    values[300:310] = np.nan

    assert alarms(values) == []


def test_a_daily_spike_surprises_on_the_first_day_only() -> None:
    minutes = np.arange(6 * 1440)
    values = 10.0 + np.random.default_rng(3).standard_normal(len(minutes))
    values[(minutes % 1440 >= 600) & (minutes % 1440 < 630)] += 40.0

    assert {at // 1440 for at in alarms(values)} == {0}


def test_series_judged_together_are_judged_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    corpus = []
    for name, rows in (("short", 300), ("long", 700), ("gappy", 500)):
        values = 10.0 + rng.standard_normal(rows)
        values[250:255] += 30.0
        values[100:103] = np.nan if name == "gappy" else 10.0
        corpus.append(LabelledSeries(name, "made", "interval", STEP_S, STEP_S * np.arange(rows, dtype=np.float64), values))

    together = run_together(corpus)

    for series, (scores, told) in zip(corpus, together, strict=True):
        alone_scores, alone_told = run(labelled_series_detector(series.metadata), series)
        np.testing.assert_array_equal(scores, alone_scores)
        np.testing.assert_array_equal(told, alone_told)
        assert told[250]
