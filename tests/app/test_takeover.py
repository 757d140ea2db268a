"""Detectors that die, come and go: what was judged is judged once, warm, as if one process had done it all."""

from __future__ import annotations

import time

import numpy as np
import pytest

from recwatch.core.bus import Bus
from recwatch.core.store import Store
from tests.app.judging import LONG_S, TICKS, Fleet, Outcome, assert_as_expected, judged_by_one, rows_of
from tests.fates import Fate, LastingBus

STEPS = {"polling": (2, 7), "publishing": (20, 95), "keeping": (1, 3), "committing": (5, 20)}
"""Each step of a process, and when one dies there: before there is memory to keep, and just before it is kept again."""


@pytest.fixture(scope="module")
def expected() -> Outcome:
    return judged_by_one()


@pytest.mark.parametrize(
    ("when", "nth"),
    [(f"{side} {step}", nth) for step, nths in STEPS.items() for side in ("before", "after") for nth in nths],
)
def test_who_dies_between_two_steps_has_an_heir_that_goes_on(store: Store, expected: Outcome, when: str, nth: int) -> None:
    assert_heir_goes_on(LastingBus(partitions=2), store, expected, Fate(when, nth))


@pytest.mark.parametrize(("when", "nth"), [("after publishing", 90), ("after keeping", 2), ("before committing", 20)])
def test_who_dies_on_a_real_broker_has_an_heir_that_goes_on(
    kafka: Bus, store: Store, expected: Outcome, when: str, nth: int
) -> None:
    assert_heir_goes_on(kafka, store, expected, Fate(when, nth))


def assert_heir_goes_on(bus: Bus, store: Store, expected: Outcome, fate: Fate) -> None:
    fleet = Fleet(bus, store)
    first = fleet.join(fate)
    for start in range(0, TICKS, 3):
        fleet.scrape(range(start, start + 3))
    assert first not in fleet.members
    assert_as_expected(fleet.outcome, expected, rows_of(expected, 3))


@pytest.mark.parametrize("seed", range(6))
def test_deaths_at_any_step_one_after_the_other_change_nothing(expected: Outcome, store: Store, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fleet, deaths = Fleet(LastingBus(partitions=2), store), 0
    number = 0
    while number < TICKS:
        if not fleet.members or rng.random() < 0.4:
            when = f"{rng.choice(['before', 'after'])} {rng.choice(list(STEPS))}"
            fleet.join(Fate(when, int(rng.integers(6))))
        size = int(rng.integers(1, 6))
        members = set(fleet.members)
        fleet.scrape(range(number, min(number + size, TICKS)))
        deaths += len(members - set(fleet.members))
        number += size
    assert deaths > 1
    assert_as_expected(fleet.outcome, expected, deaths * rows_of(expected, 5))


def test_of_two_that_share_one_leaves_and_the_other_goes_on_warm(bus: Bus, store: Store, expected: Outcome) -> None:
    fleet = Fleet(bus, store)
    members = [fleet.join(), fleet.join()]
    fleet.scrape(range(20))
    deadline = time.monotonic() + LONG_S
    while not all(member.runner.counts.rebalances for member in members) and time.monotonic() < deadline:
        fleet.step()
    fleet.scrape(range(20, 30))
    members[0].runner.close()
    fleet.members.remove(members[0])
    fleet.scrape(range(30, TICKS))
    assert_as_expected(fleet.outcome, expected, 0)
