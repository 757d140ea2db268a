import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recwatch.core.errors import BadInput
from recwatch.core.quantiles import quantile

BOUNDS = [0.1, 0.2, 0.4, math.inf]


@pytest.mark.parametrize(
    ("increments", "q", "expected"),
    [
        ([10, 10, 10, 10], 0.5, 0.05),  # all in the first bucket, which starts at 0
        ([0, 10, 10, 10], 0.25, 0.125),  # a quarter through 0.1..0.2
        ([50, 90, 100, 100], 0.95, 0.3),  # rank 95, half way through 0.2..0.4
        ([50, 90, 98, 100], 0.99, 0.4),  # the rank falls into +Inf: the last finite bound
        ([0, 0, 10, 10], 0.0, 0.2),  # the least value lies in the first bucket that is filled
        ([0, 0, 10, 10], 1.0, 0.4),
        ([0, 0, 0, 7], 0.5, 0.4),
    ],
)
def test_quantiles_worked_out_by_hand(increments: list[float], q: float, expected: float) -> None:
    assert quantile(BOUNDS, increments, q) == pytest.approx(expected)


def test_a_bucket_that_fell_below_the_one_before_is_levelled() -> None:
    assert quantile(BOUNDS, [50, 40, 100, 100], 0.75) == quantile(BOUNDS, [50, 50, 100, 100], 0.75)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(BOUNDS, [0, 0, 0, 0], 0.5) is None
    assert quantile([math.inf], [5], 0.5) is None


def test_a_first_bucket_at_or_below_zero_is_its_bound() -> None:
    assert quantile([-1.0, 1.0, math.inf], [5, 10, 10], 0.1) == -1.0


@pytest.mark.parametrize(
    ("bounds", "increments", "q", "words"),
    [
        (BOUNDS, [1, 1, 1, 1], 1.5, "outside 0..1"),
        (BOUNDS, [1, 1, 1], 0.5, "4 bucket bounds but 3 increments"),
        ([0.1, 0.2], [1, 1], 0.5, "end in +Inf"),
        ([0.2, 0.1, math.inf], [1, 1, 1], 0.5, "must ascend"),
        ([], [], 0.5, "must ascend"),
    ],
)
def test_input_without_sense_is_refused(bounds: list[float], increments: list[float], q: float, words: str) -> None:
    with pytest.raises(BadInput) as refusal:
        quantile(bounds, increments, q)
    assert words in str(refusal.value)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).map(sorted), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_with_q_and_stay_within_the_finite_bounds(counts: list[int], one: float, other: float) -> None:
    low, high = (quantile(BOUNDS, counts, q) for q in sorted((one, other)))
    if counts[-1] == 0:
        assert low is high is None
    else:
        assert low is not None
        assert high is not None
        assert 0 <= low <= high <= 0.4
