"""Detectors that sleep between two steps while others do their work wake and change nothing, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from recwatch.core.bus import Bus
from recwatch.core.bus.brokers import Brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.stage import Snapshot
from recwatch.core.store import Store, open_store
from tests.app.judging import TICKS, Fleet, Outcome, assert_as_expected, judged_by_one, rows_of
from tests.fates import Fate


@pytest.fixture(scope="module")
def expected() -> Outcome:
    return judged_by_one()


@pytest.fixture
def kafka(brokers: Brokers) -> Iterator[Bus]:
    with closing(kafka_bus(brokers, partitions=2, session_s=6.0, stall_s=5.0)) as bus:
        yield bus


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(open_store(f"chdb://{tmp_path_factory.mktemp('takeover')}/store")) as store:
        yield store


@pytest.mark.parametrize(("when", "nth"), [("before publishing", 60), ("before keeping", 2), ("before committing", 20)])
def test_who_sleeps_between_two_steps_wakes_and_changes_nothing(
    kafka: Bus, store: Store, expected: Outcome, when: str, nth: int
) -> None:
    fleet, numbers = Fleet(kafka, store), iter(range(TICKS))
    kept: list[Snapshot | None] = []

    def sleep() -> None:
        """For as long as an heir needs to get everything, to judge what came since, and to keep its memory."""
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
