"""What a look back tells of an incident: when its leading signal changed and by how much, and a deploy beside before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from alerting.looking_back import Trouble
from detectors.dated_changes import dated_change
from detectors.equal_load import Difference
from recwatch.app.comparisons import SURE, Latency, claim, difference, since_change
from recwatch.app.level_changes import changed
from recwatch.core.events import Evidence
from recwatch.core.recent import Recent
from recwatch.core.signals import Float64, Int64
from recwatch.core.wording import clean, spoken

COMPARED = "latency_mean_seconds"
"""Of all latencies that of the interval alone, so that a deploy shows at once."""
WELL_MS = 300_000
LEAST_ROWS = 5
"""Of each level."""


def shifts(recent: Recent, trouble: Trouble) -> tuple[Evidence, ...]:
    """The dated change of level, and latency since the deploy at equal load; what is not sure yet is left out."""
    return (*_dated(recent, trouble), *_compared(recent, trouble))


def _dated(recent: Recent, trouble: Trouble) -> Iterator[Evidence]:
    series = trouble.series
    times, values = recent.rows(series.id, trouble.well_ms - WELL_MS, trouble.until_ms)
    well, troubled = int((times <= trouble.well_ms).sum()), int((times >= trouble.start_ms).sum())
    if min(well, troubled) < LEAST_ROWS:
        return
    change = dated_change(values, well, troubled)
    if change is not None:
        said = f"{spoken(series.name)} changed {changed(series, recent, change, (times, times))}"
        yield Evidence(said, series.key, change.after, change.before)


def _compared(recent: Recent, trouble: Trouble) -> Iterator[Evidence]:
    service, deploy = trouble.series.service, trouble.deploy
    series = recent.of(service, COMPARED)
    latency = None if series is None else Latency.of(series, recent)
    if deploy is None or latency is None:
        return

    def read(ids: Sequence[int], start_ms: int, end_ms: int, _: int) -> Mapping[int, tuple[Int64, Float64]]:
        return {i: recent.rows(i, start_ms, end_ms) for i in ids}

    found = difference(latency, read, since_change(latency, deploy.time_ms, trouble.marks, trouble.until_ms))
    if isinstance(found, Difference) and found.high <= SURE * found.low:
        said = f"since deploy {clean(deploy.text)} {spoken(COMPARED)} is {claim(found)}"
        yield Evidence(said, latency.series.key, found.ratio, 1.0)
