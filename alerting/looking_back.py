"""Incident → the same with what a look back tells of it. How to look is brought by whoever puts the stage together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from alerting.incident import lead_of
from alerting.view import GUARD_MS, View
from recwatch.core.events import Anomaly, Evidence, Incident, Mark
from recwatch.core.recent import Recent
from recwatch.core.signals import Series

WATCHED_MS = 300_000
"""What cannot be told by then never will be: what was before leaves the memory."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What to look back on: the series that leads, well until `well_ms`, and in trouble from `start_ms` to `until_ms`.

    `marks` are what was done to the service, `deploy` that of them which may have caused the trouble.
    """

    series: Series
    well_ms: int
    start_ms: int
    until_ms: int
    marks: tuple[Mark, ...]
    deploy: Mark | None


Shifts = Callable[[Recent, Trouble], tuple[Evidence, ...]]
"""When the series changed and by how much, and how the deploy compares with before it; what is not sure yet is left out."""


def looked_back(incident: Incident, felt: Sequence[Anomaly], view: View, recent: Recent, shifts: Shifts) -> Incident:
    """The incident with its shifts once they are sure: later on its signals may recover one by one while it is open."""
    deploy = next(iter(view.near("deploy")), None)
    known = len(incident.shifts) >= (1 if deploy is None else 2)
    over = all(a.end_ms is not None for a in felt) or view.until_ms - view.start_ms > WATCHED_MS
    lead = lead_of(felt)
    series = None if lead is None else recent.by_id(int(lead.series_id))
    if known or over or series is None:
        return incident
    told = shifts(recent, Trouble(series, view.start_ms - GUARD_MS, view.start_ms, view.until_ms, view.marks, deploy))
    return replace(incident, shifts=told) if len(told) > len(incident.shifts) else incident
