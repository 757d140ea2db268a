"""What the live page draws, without a browser."""

from __future__ import annotations

from dashboards.console.live import MOST_CHARTS, most_telling
from recwatch.client import SignalStatus


def gpu(number: int, score: float | None = 0.2) -> SignalStatus:
    return SignalStatus(str(number), "", "gpu_busy_ratio", {"gpu": str(number)}, "ratio", "", False, 0.5, 1000, score)


def test_of_very_many_parts_the_first_and_those_that_alarm_most_are_drawn_in_their_order() -> None:
    fleet = [gpu(number) for number in range(300)]
    assert most_telling(fleet) == fleet[:MOST_CHARTS]
    fleet[250], fleet[70], fleet[71] = gpu(250, 3.0), gpu(70, 1.2), gpu(71, None)
    assert most_telling(fleet) == [*fleet[: MOST_CHARTS - 2], fleet[70], fleet[250]]


def test_few_parts_are_all_drawn() -> None:
    fleet = [gpu(number) for number in range(MOST_CHARTS)]
    assert most_telling(fleet) == fleet
    assert most_telling([]) == []
