"""What of a service is used up within hours if its trend goes on: a line each, with the time left by now."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import streamlit as st

from dashboards.console.words import clock_time, figure, plain
from recwatch.client import Client, Columns, ServiceStatus, SignalStatus
from recwatch.core.canonical import canonical_series, derived_series
from recwatch.core.wording import subject, time_left

METHOD = "exhaustion"
ENDS = ("", "_lower", "_upper")
LATELY_MS = 60_000


def running_out(client: Client, service: ServiceStatus, now_ms: int) -> None:
    """A warning for each resource of the service that runs out."""
    since = {a.series_id: a.start_ms for a in client.anomalies(service.name) if a.method == METHOD and a.end_ms is None}
    signals = [s for s in client.signals(service.name) if s.series_id in since]
    ids = [each for signal in signals for each in foreseen(signal)]
    lately = client.samples(ids, now_ms - max(LATELY_MS, service.stale_after_ms), now_ms) if ids else {}
    for signal in signals:
        told = f"{sentence(signal, lately)} Told since {clock_time(since[signal.series_id])}."
        st.warning(plain(told), icon=":material/hourglass_bottom:")


def foreseen(signal: SignalStatus) -> list[str]:
    """The ids under which the seconds left, their least and their most are published."""
    labels = {label: value for label, value in signal.labels.items() if label != "service"}
    of = canonical_series(signal.labels["service"], signal.name, labels)
    return [str(derived_series(f"recwatch_exhaustion_seconds{end}", of, METHOD).id) for end in ENDS]


def sentence(signal: SignalStatus, lately: Mapping[str, Columns]) -> str:
    """What runs out, what is left of it, and for how long, by the newest of what was foreseen."""
    what = subject(signal.name, signal.labels)
    said = f"{what[0].upper()}{what[1:]} {figure(signal.last_value, signal.unit)}"
    columns = [lately.get(each, Columns([], [])) for each in foreseen(signal)]
    left, soonest, latest = (dict(zip(one.time_ms, one.value, strict=True)) for one in columns)
    newest = max(left.keys() & soonest.keys(), default=None)
    if newest is None:
        return f"{said}: its trend is not sure just now."
    left_s, soonest_s, latest_s = (end.get(newest, nan) for end in (left, soonest, latest))
    return (
        f"{said}: used up in {time_left(left_s, soonest_s, latest_s)} if its trend goes on."
        if left_s
        else f"{said}: used up."
    )
