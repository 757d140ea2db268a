"""Cases of detection are those that the protocol counts, each of one sort."""

from __future__ import annotations

import numpy as np

from benchmarks.detect_cases import cases_of
from detectors.event_score import event_scores
from detectors.labelled import LabelledSeries

STEP_S = 60.0
ROWS = 6000
RUNS = ((500, 520), (1000, 1050), (2000, 2010), (3000, 3005))


def test_every_event_and_every_false_alarm_is_one_case_of_its_sort() -> None:
    stamps = STEP_S * np.arange(ROWS, dtype=np.float64)
    series = LabelledSeries("smd/one", "smd", "interval", STEP_S, stamps, np.zeros(ROWS), 100, RUNS)
    alarms, score = np.zeros(ROWS, dtype=np.bool_), np.zeros(ROWS)
    alarms[[502, 1040, 1970, 4000, 4000 + 1440, 5000]] = True
    score[3002], score[5000:5003] = 0.3, 2.0

    cases = list(cases_of(7, series, (score, alarms)))

    scores = event_scores(series, alarms)
    kinds = [case.kind for case in cases]
    assert (kinds.count("hit"), kinds.count("hit") + kinds.count("miss")) == (scores.caught, scores.events)
    assert {case.series for case in cases} == {7}
    assert [(case.kind, round(case.start_s / STEP_S), case.sort) for case in cases] == [
        ("hit", 500, ""),
        ("miss", 1000, "found late"),
        ("miss", 2000, "told of less than a cool-down before"),
        ("miss", 3000, "a fifth to a half"),
        ("false alarm", 1970, "within a cool-down of an event"),
        ("false alarm", 4000, "at the time of day of another"),
        ("false alarm", 5000, "fewer than 12 readings"),
        ("false alarm", 5440, "at the time of day of another"),
    ]
