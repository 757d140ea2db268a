import numpy as np
import pytest

from collectors.increments import Counted, Increments

A, B = 1, 2


def counted(values: dict[int, float]) -> Counted:
    return Counted(tuple(values), np.array(list(values.values())))


class Grown:
    """What increments say of counters given by id."""

    def __init__(self) -> None:
        self._increments = Increments(max_gap_ms=3000)

    def __call__(
        self, time_ms: int, process: dict[int, float], hardware: dict[int, float], start: float | None = None
    ) -> tuple[bool, float | None, dict[int, float]]:
        growth = self._increments.advance(time_ms, counted(process), counted(hardware), start)
        by = dict(zip((*process, *hardware), [*growth.process.tolist(), *growth.hardware.tolist()], strict=True))
        return growth.restarted, growth.interval_s, by


@pytest.fixture
def grown() -> Grown:
    return Grown()


def test_growth_is_what_was_added_since_the_scrape_before(grown: Grown) -> None:
    assert grown(1000, {A: 5.0}, {})[1] is None
    assert grown(3000, {A: 9.0}, {}) == (False, 2.0, {A: 4.0})


def test_when_one_counter_fell_all_had_started_at_nothing(grown: Grown) -> None:
    grown(1000, {A: 5.0, B: 5.0}, {})
    assert grown(2000, {A: 1.0, B: 6.0}, {}) == (True, 1.0, {A: 1.0, B: 6.0})
    assert grown(3000, {A: 1.0, B: 7.0}, {}) == (False, 1.0, {A: 0.0, B: 1.0})


def test_a_counter_that_turns_up_later_started_at_nothing_and_one_that_was_away_goes_on(grown: Grown) -> None:
    grown(1000, {A: 5.0}, {})
    assert grown(2000, {B: 2.0}, {}) == (False, 1.0, {B: 2.0})
    assert grown(3000, {A: 6.0, B: 2.0}, {}) == (False, 1.0, {A: 1.0, B: 0.0})


def test_a_counter_without_a_reading_goes_on_from_its_last(grown: Grown) -> None:
    grown(1000, {A: 5.0, B: 5.0}, {3: 7.0})
    _, _, by = grown(2000, {A: float("nan"), B: 6.0}, {3: float("nan")})
    assert by == pytest.approx({A: float("nan"), B: 1.0, 3: float("nan")}, nan_ok=True)
    assert grown(3000, {A: 8.0, B: 6.0}, {3: 9.0}) == (False, 1.0, {A: 3.0, B: 0.0, 3: 2.0})


def test_hardware_counters_outlive_the_process(grown: Grown) -> None:
    grown(1000, {}, {A: 5.0}, 10.0)
    assert grown(2000, {}, {A: 6.0, B: 99.0}, 20.0) == (True, 1.0, {A: 1.0, B: 0.0})
    assert grown(3000, {}, {A: 0.0, B: 99.0}, 20.0) == (False, 1.0, {A: 0.0, B: 0.0})


def test_no_growth_over_a_gap_or_against_time(grown: Grown) -> None:
    grown(1000, {A: 5.0}, {})
    assert [grown(time_ms, {A: value}, {})[1] for time_ms, value in ((4001, 6.0), (4001, 7.0), (2000, 8.0))] == [None] * 3
    assert grown(3000, {A: 9.0}, {}) == (False, 1.0, {A: 1.0})
