"""The live page: how a service is, what is wrong with it, and its most telling signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from dashboards.console.cards import header, incident_card, proposal_card
from dashboards.console.charts import chart, tables
from dashboards.console.words import clock_time, figure, plain
from recwatch.client import Client, ServiceStatus, SignalStatus
from recwatch.core.events import Incident
from recwatch.core.proposals import ENDED, Proposal

TOLD_FOR_MS = 600_000
SPANS = {"2 min": 120, "5 min": 300, "15 min": 900}


class Panel(NamedTuple):
    """One chart of the page."""

    signal: str
    title: str


PANELS = (
    Panel("latency_p99_seconds", "p99 latency"),
    Panel("requests_per_second", "Requests"),
    Panel("errors_ratio", "Errors"),
    Panel("queue_depth", "Queue depth"),
    Panel("batch_size_mean", "Batch size"),
    Panel("cache_hit_ratio", "Cache hits"),
    Panel("gpu_busy_ratio", "GPU busy"),
    Panel("gpu_sm_clock_hertz", "GPU clock"),
    Panel("answer_quality_ratio", "Answer quality"),
)


def live_page(client: Client, service: ServiceStatus, now_ms: int) -> None:
    """Everything about one service at a glance."""
    incidents = client.incidents(service.name)
    proposals = client.proposals(service.name)
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        header(service, incidents, now_ms)
    span = right.segmented_control(
        "Time shown", list(SPANS), default="5 min", key="span", required=True, label_visibility="collapsed"
    )
    told = [i for i in incidents if i.state == "open" or now_ms - (i.end_ms or 0) < TOLD_FOR_MS]
    for incident in told[:2]:
        _story(client, incident, proposals, now_ms)
    if service.last_ms is None:
        st.info("No samples have come yet. If this stays so, the page Targets says why.", icon=":material/hourglass_top:")
        return
    _charts(client, service, (service.last_ms - SPANS[span] * 1000, service.last_ms))


def _story(client: Client, incident: Incident, proposals: Sequence[Proposal], now_ms: int) -> None:
    """An incident beside what is proposed, or was done, about it."""
    left, right = st.columns([11, 10])
    with left, st.container(border=True, height="stretch", gap="small"):
        incident_card(incident, now_ms)
    with right, st.container(border=True, height="stretch", gap="small"):
        about = [p for p in proposals if p.incident_id == incident.id]
        shown = next((p for p in about if p.state not in ENDED), about[0] if about else None)
        if shown:
            proposal_card(client, shown)
        else:
            _no_proposal(client, incident)


def _no_proposal(client: Client, incident: Incident) -> None:
    st.markdown("##### No change proposed")
    for hold in client.holds():
        if hold.service == incident.service:
            st.markdown(plain(hold.reason))


def _charts(client: Client, service: ServiceStatus, window: tuple[int, int]) -> None:
    signals = client.signals(service.name)
    chosen = [(p, s) for p in PANELS for s in signals if s.name == p.signal]
    bands = client.bands([s.series_id for _, s in chosen], *window) if chosen else {}
    anomalies = client.anomalies(service.name)
    marks = client.marks(service.name)
    bounds = service.objective.bounds() if service.objective else {}
    columns = st.columns(3)
    for place, (panel, signal) in enumerate(chosen):
        data = tables(
            bands[signal.series_id],
            signal.unit,
            window,
            [*marks, *(a for a in anomalies if a.series_id == signal.series_id)],
            bounds.get(signal.name),
        )
        with columns[place % 3], st.container(gap=None):
            st.markdown(_chart_title(panel, signal, bounds.get(signal.name)), help=signal.help)
            st.vega_lite_chart(
                spec={**chart(signal.unit), "datasets": data}, key=f"chart {signal.series_id}", theme="streamlit"
            )
    st.caption(
        "Blue: measured. Shaded: where it was expected. Orange: objective. Red: anomaly. Violet: deploys and other marks. "
        f"Newest sample {clock_time(service.last_ms)}."
    )


def _chart_title(panel: Panel, signal: SignalStatus, bound: float | None) -> str:
    of = f" {plain(signal.labels['gpu'])}" if signal.labels.get("gpu", "0") != "0" else ""
    origin = " :gray-badge[emulated]" if signal.labels.get("emulated") == "true" else ""
    limit = f" :gray[/ {figure(bound, signal.unit)}]" if bound is not None else ""
    colour = "red" if signal.score is not None and signal.score >= 1.0 else "blue"
    value = figure(signal.last_value, signal.unit)
    return f"**{panel.title}{of}** :{colour}[**{value}**]{limit}{origin}"
