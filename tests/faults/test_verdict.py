"""What a fault run is judged by: each way to break a promise is found, and what is none is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from faults.source import Page
from faults.verdict import Evidence, Gap, Interruption, Notice, judge
from recwatch.core.events import Anomaly, Cause, Incident, RankedCause
from recwatch.core.progress import OWN

PAGES = [Page("shop", number, 1000 * number) for number in range(1, 11)]


def anomaly(start_ms: int, end_ms: int | None = None, method: str = "objective") -> Anomaly:
    return Anomaly(
        Anomaly.id_of(1, method, start_ms), "shop", "1", "errors", method, start_ms, end_ms, 2.0, "above", 0.3, None, ""
    )


def incident(id_: str, service: str = "shop") -> Incident:
    causes = (RankedCause(Cause.UNKNOWN, 1.0, ()),)
    return Incident(id_, service, "open", "page", 0, None, "", causes, (), (), ())


GOOD = Evidence(
    served=PAGES,
    stored={("shop", page.number): 1 for page in PAGES},
    rows=30,
    distinct_rows=30,
    down_ms={},
    interruptions=[],
    gaps=[],
    anomalies=[anomaly(5000)],
    incidents=[incident("i")],
    stored_ids=frozenset({anomaly(5000).id, "i"}),
    notices=[Notice("m", "open", "i", "shop")],
    crashes=[],
)


def without(*numbers: int, **more: Any) -> Evidence:
    stored = {(service, number): rows for (service, number), rows in GOOD.stored.items() if number not in numbers}
    return replace(GOOD, stored=stored, **more)


def test_a_run_in_which_nothing_was_lost_breaks_no_promise() -> None:
    verdict = judge(GOOD, ["shop"])
    assert (verdict.served, verdict.lost, verdict.doubled, verdict.broken) == (10, 0, 0, [])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rows": 31}, "1 row doubled"),
        ({"anomalies": [], "stored_ids": {"i"}, "incidents": []}, "shop had 0 incidents, not 1"),
        ({"incidents": [incident("i"), incident("j")], "stored_ids": {anomaly(5000).id, "i", "j"}}, "shop had 2 incidents"),
        ({"incidents": [incident("i"), incident("j", "till")]}, "till had 1 incident, not 0"),
        ({"anomalies": [anomaly(5000), anomaly(7000)]}, "errors was raised twice by objective: from 5000 and from 7000"),
        ({"anomalies": [anomaly(5000, 8000), anomaly(7000)]}, "errors was raised twice by objective"),
        ({"stored_ids": {"i"}}, "1 event of 2 on the bus or in the store, not in both"),
        ({"notices": []}, "of shop 0 messages said that it is in trouble, not 1"),
        (
            {"notices": [Notice("m", "open", "i", "shop"), Notice("n", "open", "i", "shop")]},
            "of shop 2 messages said that it is in trouble, not 1",
        ),
        ({"crashes": ["sink: it ended"]}, "sink: it ended"),
    ],
)
def test_each_broken_promise_is_told(changed: Mapping[str, Any], sentence: str) -> None:
    assert any(said.startswith(sentence) for said in judge(replace(GOOD, **changed), ["shop"]).broken)


def test_a_page_that_is_nowhere_is_lost() -> None:
    verdict = judge(without(4, 5), ["shop"])
    assert (verdict.lost, verdict.broken) == (2, ["2 pages lost, such as shop 4, shop 5"])


def test_what_a_killed_collector_had_in_hand_is_one_page_at_most() -> None:
    killed = [Interruption(5100, 5100)]
    one, two = judge(without(5, interruptions=killed), ["shop"]), judge(without(4, 5, interruptions=killed), ["shop"])
    assert (one.lost, one.in_hand, one.broken) == (0, 1, [])
    assert (two.lost, two.in_hand) == (1, 1)
    assert judge(without(8, interruptions=killed), ["shop"]).lost == 1


def test_a_scrape_that_the_collectors_say_failed_is_not_lost() -> None:
    verdict = judge(without(5, down_ms={"shop": [4100]}), ["shop"])
    assert (verdict.lost, verdict.failed) == (0, 1)
    assert judge(without(5, down_ms={"shop": [1000, 9000]}), ["shop"]).lost == 1


def test_a_page_in_a_gap_that_is_marked_is_not_lost() -> None:
    verdict = judge(without(4, 5, gaps=[Gap("shop", 3900, 4900)]), ["shop"])
    assert (verdict.lost, verdict.marked, verdict.broken) == (0, 2, [])
    assert judge(without(4, 5, gaps=[Gap("till", 3900, 4900)]), ["shop"]).lost == 2
    assert judge(without(4, 8, gaps=[Gap("shop", 3900, 4900)]), ["shop"]).lost == 1


def test_messages_under_one_id_and_what_recwatch_says_of_itself_are_counted_and_no_fault() -> None:
    again = [*GOOD.notices, *GOOD.notices, Notice("o", "open", "k", OWN)]
    verdict = judge(replace(GOOD, notices=again), ["shop"])
    assert (verdict.messages, verdict.again, verdict.broken) == (2, 1, [])


def test_an_anomaly_that_begins_after_the_last_one_ended_is_another() -> None:
    both = [anomaly(1000, 2000), anomaly(5000)]
    verdict = judge(replace(GOOD, anomalies=both, stored_ids=frozenset({both[0].id, both[1].id, "i"})), ["shop"])
    assert (verdict.anomalies, verdict.broken) == (2, [])
