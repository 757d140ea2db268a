"""The live page: how a service is, what is wrong with it, and its most telling signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import streamlit as st

from dashboards.console.cards import header, incident_card, proposal_card
from dashboards.console.charts import chart, tables
from dashboards.console.running_out import running_out
from dashboards.console.words import clock_time, figure, measured_now, plain, which
from recwatch.client import Client, ServiceStatus, SignalStatus
from recwatch.core.canonical import LATENCY_QUANTILES
from recwatch.core.events import Anomaly, Incident, Mark
from recwatch.core.proposals import ENDED, Proposal
from recwatch.core.quantiles import open_ended

TOLD_FOR_MS = 600_000
SPANS = {"2 min": 120, "5 min": 300, "15 min": 900}
MOST_CHARTS = 12
"""Of one signal, say of the GPUs of a fleet: a browser draws no hundreds anew every two seconds."""


class Panel(NamedTuple):
    """One chart of the page."""

    signal: str
    title: str


PANELS = (
    Panel("latency_p99_seconds", "p99 latency"),
    Panel("requests_per_second", "Requests"),
    Panel("errors_ratio", "Errors"),
    Panel("first_token_p99_seconds", "p99 to the first token"),
    Panel("output_token_mean_seconds", "Time per token"),
    Panel("generated_tokens_per_second", "Tokens generated"),
    Panel("queue_depth", "Queue depth"),
    Panel("requests_running", "Running"),
    Panel("kv_cache_used_ratio", "Key-value cache"),
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
    told = [i for i in incidents if i.state == "open"]
    lately = [i for i in incidents if now_ms - (i.end_ms or 0) < TOLD_FOR_MS]
    for incident in told or lately[:1]:
        _story(client, incident, proposals, now_ms)
    if service.last_ms is None:
        st.info("No samples have come yet. If this stays so, the page Targets says why.", icon=":material/hourglass_top:")
        return
    running_out(client, service, now_ms)
    _charts(client, service, (service.last_ms - SPANS[span] * 1000, service.last_ms), now_ms)


def _story(client: Client, incident: Incident, proposals: Sequence[Proposal], now_ms: int) -> None:
    """An incident beside what is proposed, or was done, about it; while it is open, or why nothing is."""
    about = [p for p in proposals if p.incident_id == incident.id]
    shown = next((p for p in about if p.state not in ENDED), about[0] if about else None)
    holds = [h.reason for h in client.holds() if h.service == incident.service and incident.state == "open"]
    left, right = st.columns([11, 10]) if shown or holds else (st.container(), None)
    with left, st.container(border=True, height="stretch", gap="small"):
        incident_card(incident, now_ms)
    if right is None:
        return
    with right, st.container(border=True, height="stretch", gap="small"):
        if shown:
            proposal_card(client, shown)
        else:
            st.markdown("##### No change proposed")
            st.markdown("  \n".join(map(plain, holds)))


def _charts(client: Client, service: ServiceStatus, window: tuple[int, int], now_ms: int) -> None:
    signals = sorted(client.signals(service.name), key=lambda s: len(s.labels))  # the whole service's before its parts'
    known = {panel: [s for s in signals if s.name == panel.signal] for panel in PANELS}
    chosen = [signal for of_panel in known.values() for signal in most_telling(of_panel)]
    bands = client.bands([s.series_id for s in chosen], *window)
    happened: list[Anomaly | Mark] = [*client.marks(service.name), *client.anomalies(service.name)]
    bounds = service.objective.bounds() if service.objective else {}
    names = {s.series_id: _name(p, s, [o.labels for o in of_panel]) for p, of_panel in known.items() for s in of_panel}
    columns = st.columns(3)
    shown = [s for s in chosen if bands[s.series_id].time_ms]
    for place, signal in enumerate(shown):
        band, bound = bands[signal.series_id], None if "model" in signal.labels else bounds.get(signal.name)
        mine = [h for h in happened if isinstance(h, Mark) or h.series_id == signal.series_id]
        data = tables(band, signal.unit, window, mine, bound)
        value = _value(signal, signals, measured=measured_now(band.time_ms, now_ms, service.stale_after_ms))
        limit = f" :gray[/ {figure(bound, signal.unit)}]" if bound is not None else ""
        with columns[place % 3], st.container(gap=None):
            st.markdown(f"**{names[signal.series_id]}** {value}{limit}{_origin(signal)}", help=signal.help)
            st.vega_lite_chart(
                spec={**chart(signal.unit), "datasets": data}, key=f"chart {signal.series_id}", theme="streamlit"
            )
    gone = ", ".join(names[s.series_id] for s in chosen if not bands[s.series_id].time_ms)
    more = ", ".join(f"{len(of) - MOST_CHARTS} more of {p.title}" for p, of in known.items() if len(of) > MOST_CHARTS)
    st.caption(
        "Blue: measured. Shaded: where it was expected. Orange: objective. Red: anomaly. Violet: deploys and other marks. "
        f"Newest sample {clock_time(service.last_ms)}.{f' Not measured in this time: {gone}.' if gone else ''}"
        f"{f' Not drawn, as none alarms more than these: {more}.' if more else ''}"
    )


def most_telling(signals: Sequence[SignalStatus]) -> list[SignalStatus]:
    """The first, and those that alarm most, in their order; without alarms the first ones, so that charts stay in place."""
    ranked = sorted(signals[1:], key=lambda s: -max(1.0, s.score or 0.0))
    kept = {s.series_id for s in [*signals[:1], *ranked[: MOST_CHARTS - 1]]}
    return [s for s in signals if s.series_id in kept]


def _name(panel: Panel, signal: SignalStatus, siblings: Sequence[Mapping[str, str]]) -> str:
    """What a chart shows; of several charts of one signal, which."""
    of = which(signal.labels, siblings)
    return f"{panel.title}, {plain(of)}" if of else panel.title


def _value(signal: SignalStatus, signals: Sequence[SignalStatus], *, measured: bool) -> str:
    """The newest value in colour; one that is not measured any more in grey, with its time."""
    text = figure(signal.last_value, signal.unit)
    les = [s.labels["le"] for s in signals if s.name == "latency_bucket_increments"]
    if signal.name in LATENCY_QUANTILES and signal.last_value is not None and open_ended(signal.last_value, les):
        text = f"≥ {text}"
    if not measured:
        return f":gray[{text} at {clock_time(signal.last_ms)}, not measured since]"
    return f":{'red' if signal.score is not None and signal.score >= 1.0 else 'blue'}[**{text}**]"


def _origin(signal: SignalStatus) -> str:
    return " :gray-badge[emulated]" if signal.labels.get("emulated") == "true" else ""
