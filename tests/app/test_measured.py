"""When an objective is said not to be measured."""

from __future__ import annotations

import pytest

from recwatch.app.measured import SCRAPES, unmeasured
from recwatch.core.canonical import canonical_series
from recwatch.core.objective import Objective
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, Series, SeriesSet

PROMISED = Objective(0.150)
UP, RATE = canonical_series("shop", "targets_up_ratio"), canonical_series("shop", "requests_per_second")
BUCKET = canonical_series("shop", "latency_bucket_increments", {"le": "+Inf"})
ERRORS, LATENCY = "errors_ratio", "latency_p99_seconds"


def scraped(scrapes: int, *measured: Series, up: float = 1.0, until: int | None = None) -> Recent:
    """A service that was scraped so often; what is `measured` reads 0, up to the scrape `until` where it is given."""
    recent = Recent()
    recent.learn(SeriesSet("shop", (UP, *measured)))
    for scrape in range(scrapes):
        there = measured if until is None or scrape < until else ()
        readings = {UP.id: up} | dict.fromkeys((series.id for series in there), 0.0)
        recent.append(Samples.of("shop", "", 1000 * scrape, readings))
    return recent


@pytest.mark.parametrize(
    ("measured", "lacking"),
    [((), {ERRORS, LATENCY}), ((RATE,), {LATENCY}), ((BUCKET,), {ERRORS}), ((RATE, BUCKET), set())],
)
def test_what_the_objective_speaks_of_and_nothing_measures_is_named(measured: tuple[Series, ...], lacking: set[str]) -> None:
    assert set(unmeasured(scraped(SCRAPES, *measured), "shop", PROMISED)) == lacking


def test_the_reason_says_what_no_target_has() -> None:
    said = unmeasured(scraped(SCRAPES), "shop", PROMISED)
    assert said[LATENCY] == "p99 latency cannot be judged: no target has latency buckets that recwatch understands"


def test_too_few_answered_scrapes_tell_nothing() -> None:
    assert unmeasured(scraped(SCRAPES - 1), "shop", PROMISED) == {}
    assert unmeasured(scraped(9 * SCRAPES, up=0.0), "shop", PROMISED) == {}
    assert unmeasured(Recent(), "shop", PROMISED) == {}


def test_what_is_no_longer_measured_is_named_too() -> None:
    recent = scraped(3 * SCRAPES, RATE, BUCKET, until=SCRAPES)
    assert set(unmeasured(recent, "shop", PROMISED)) == {ERRORS, LATENCY}


def test_without_an_objective_nothing_lacks() -> None:
    assert unmeasured(scraped(SCRAPES), "shop", None) == {}
