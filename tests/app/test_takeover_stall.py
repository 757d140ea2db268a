"""Detectors that sleep between two steps while others do their work wake and change nothing, on a real broker."""

from __future__ import annotations

import pytest

from recwatch.core.bus import Bus
from recwatch.core.stage import Snapshot
from recwatch.core.store import Store
from tests.app.judging import TICKS, Fleet, Outcome, assert_as_expected, judged_by_one, rows_of
from tests.fates import Fate


@pytest.fixture(scope="module")
def expected() -> Outcome:
    return judged_by_one()


@pytest.mark.parametrize(("when", "nth"), [("before publishing", 60), ("before keeping", 2), ("before committing", 20)])
def test_who_sleeps_between_two_steps_wakes_and_changes_nothing(
    kafka: Bus, store: Store, expected: Outcome, when: str, nth: int
) -> None:
    fleet, numbers = Fleet(kafka, store), iter(range(TICKS))
    kept: list[Snapshot | None] = []

    def sleep() -> None:
        """For as long as an heir needs to get everything, to judge what came since, and to keep its memory."""
        sleeper.bus.overslept()
        fleet.members.remove(sleeper)
        fleet.join()
        fleet.scrape([next(numbers)])
        fleet.scrape([next(numbers) for _ in range(9)])
        fleet.step()
        kept.extend(snapshots())

    def snapshots() -> list[Snapshot | None]:
        return [sleeper.store.load_snapshot(f"detectors/{number}") for number in range(2)]

    sleeper = fleet.join(Fate(when, nth, sleep))
    while not kept:
        fleet.scrape([next(numbers)])
    assert all(kept)
    assert snapshots() == kept
    fleet.members.append(sleeper)
    fleet.scrape(list(numbers))
    assert_as_expected(fleet.outcome, expected, rows_of(expected, 1))
