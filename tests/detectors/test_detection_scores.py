"""What alarms are worth: by hand where it is easy, and as the scorer beside the labelled data has it, where there is one."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from detectors.change_point_score import change_point_scores
from detectors.evaluation import evaluate
from detectors.event_score import average_precision, event_scores
from detectors.labelled import LabelledSeries, read_labelled, read_nab
from detectors.nab_score import nab_score
from recwatch.core.errors import BadInput

DATA = Path(os.environ.get("RECWATCH_DATA", "absent"))
SCORER = DATA.parent / "tools" / "score.py"
needs_scorer = pytest.mark.skipif(
    not ((DATA / "labelled").is_dir() and SCORER.is_file() and importlib.util.find_spec("pandas")),
    reason="RECWATCH_DATA names no folder with labelled/, and tools/score.py beside it",
)
STEP_S = 60.0


def series(rows: int, *runs: tuple[int, int], source: str = "smd", first_scored: int = 0) -> LabelledSeries:
    stamps = STEP_S * np.arange(rows, dtype=np.float64)
    return LabelledSeries("smd/one", source, "interval", STEP_S, stamps, np.zeros(rows), first_scored, runs)


def alarms(rows: int, *at: int) -> np.ndarray:
    return np.isin(np.arange(rows), at)


@pytest.mark.parametrize(
    ("at", "caught", "found", "false"),
    [
        ((), 0, 0, 0),
        ((100,), 1, 1, 0),
        ((107,), 1, 1, 0),
        ((108,), 0, 1, 0),
        ((99, 120, 160), 0, 1, 2),
        ((300, 310, 359, 361), 0, 0, 2),
        ((10,), 0, 0, 0),
    ],
)
def test_an_event_is_caught_in_time_or_the_alarm_is_false(at: Sequence[int], caught: int, found: int, false: int) -> None:
    scores = event_scores(series(500, (100, 118), (121, 150), first_scored=20), alarms(500, *at))

    assert (scores.events, scores.caught, scores.found, scores.false_alarms) == (1, caught, found, false)


def test_an_event_may_fall_into_several_alarms() -> None:
    scores = event_scores(series(500, (100, 150), (300, 310)), alarms(500, 105, 140, 200))

    assert (scores.found, scores.told, scores.alarms_per_found_event) == (1, 2, 2.0)


def test_an_event_of_the_warm_up_explains_alarms_but_is_not_scored() -> None:
    scores = event_scores(series(500, (90, 130), first_scored=100), alarms(500, 110))

    assert (scores.events, scores.false_alarms) == (0, 0)


def test_a_nab_window_is_caught_anywhere_and_pays_most_at_its_start() -> None:
    one = series(1000, (500, 599), source="nab", first_scored=150)
    early, late = (alarms(1000, row).astype(float) for row in (500, 590))

    assert event_scores(one, late >= 1.0).caught == 1
    assert nab_score([one], [early], 1.0).value == pytest.approx(100.0)
    assert nab_score([one], [late], 1.0).value == pytest.approx(50.0 + 50.0 * np.tanh(0.25) / np.tanh(2.5))
    assert nab_score([one], [np.zeros(1000)], 1.0).value == 0.0


def test_a_perfect_ranking_has_a_whole_average_precision() -> None:
    one = series(100, (40, 49))
    ranked = np.where(alarms(100, *range(40, 50)), 2.0, 1.0)

    assert average_precision(one, ranked) == 1.0
    assert average_precision(one, np.zeros(100)) == pytest.approx(0.1)


def test_a_change_point_needs_the_agreement_of_three() -> None:
    people = {"a": [50], "b": [52], "c": [55], "d": [80], "e": []}
    one = LabelledSeries(
        "tcpd/one", "tcpd", "changepoint", 1.0, np.arange(100, dtype=np.float64), np.zeros(100), annotators=people
    )
    scores = change_point_scores([one], [alarms(100, 60, 61, 20)])

    assert (scores.consensus_recall, scores.consensus_precision) == (1.0, 0.5)


def test_a_clone_of_nab_is_read_in_its_native_layout(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data" / "realAWS").mkdir(parents=True)
    windows = {"realAWS/cpu.csv": [["2014-04-01 01:00:00.000000", "2014-04-01 02:00:00.000000"]], "realAWS/idle.csv": []}
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    rows = [f"2014-04-01 {minute // 60:02d}:{minute % 60:02d}:00,{minute}.5" for minute in range(0, 300, 5)]
    for name in windows:
        (tmp_path / "data" / name).write_text("\n".join(["timestamp,value", *rows]))

    cpu, idle = read_nab(tmp_path)

    assert (cpu.id, cpu.step_s, cpu.first_scored, cpu.runs) == ("nab/realAWS__cpu", 300.0, 9, ((12, 24),))
    assert (len(idle), idle.runs, idle.value[1]) == (60, (), 5.5)


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no labelled series"):
        list(read_labelled(tmp_path))
    with pytest.raises(BadInput, match="no clone of NAB"):
        list(read_nab(tmp_path))


@needs_scorer
def test_the_scores_are_those_of_the_published_protocol() -> None:
    scorer = _scorer()
    theirs = scorer.load_corpus(str(DATA / "labelled"))
    corpus = list(read_labelled(DATA / "labelled"))
    rng = np.random.default_rng(0)
    scores = [np.round(rng.exponential(size=len(one)), 2) for one in corpus]
    told = [(score, score >= 5.0) for score in scores]
    results = {one.id: (*pair, 0.0) for one, pair in zip(corpus, told, strict=True)}

    expected, mine = scorer.evaluate(theirs, results, with_vus=False), evaluate(corpus, told)

    assert mine.keys() == expected.keys()
    for source, row in expected.items():
        if source == "tcpd":
            changes = mine[source].change_points
            assert changes is not None
            assert [changes.consensus_f1, changes.precision, changes.recall, changes.f1] == pytest.approx(
                [row["consensus_f1"], row["precision"], row["recall"], row["f1"]]
            )
            continue
        events = mine[source].events
        assert events is not None
        assert [events.events, events.caught, events.false_alarms] == [row["events"], row["caught"], row["false_alarms"]]
        assert [
            events.f1,
            events.recall_at_any_time,
            events.false_alarms_per_series_day,
            events.median_delay_steps,
            mine[source].average_precision,
        ] == pytest.approx([row["f1"], row["recall_any"], row["fa_per_day"], row["delay_steps"], row["auc_pr"]])
    of_nab = [pair for pair in zip(corpus, scores, strict=True) if pair[0].source == "nab"]
    best = nab_score([one for one, _ in of_nab], [score for _, score in of_nab])
    assert mine["nab"].nab_standard == pytest.approx(expected["nab"]["nab_standard_own_alarms"])
    assert best.value == pytest.approx(expected["nab"]["nab_standard"])


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["score"] = module
    spec.loader.exec_module(module)
    return module
