"""The first page: every service in one table, what is in trouble on top, and what waits for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, get_args
from urllib.parse import urlencode

import streamlit as st

from dashboards.console.words import change, clock_time, figure, measured_now
from recwatch.client import Client, ServiceState, ServiceStatus
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Incident
from recwatch.core.proposals import Proposal

WINDOW_MS = 60_000
SHOWN = ("latency_p99_seconds", "requests_per_second")
WORST_FIRST: tuple[ServiceState, ...] = get_args(ServiceState)
STATES: dict[ServiceState, tuple[str, str]] = {
    "incident": ("#e5534b", "incident"),
    "stale": ("#d98a1f", "no traffic figures"),
    "unmeasured": ("#d98a1f", "objective not measured"),
    "warming_up": ("#3d8bfd", "warming up"),
    "healthy": ("#2da44e", "healthy"),
}
STYLE = """<style>
.services {width: 100%; border-collapse: collapse}
.services th {text-align: left; font-weight: normal; opacity: .7}
.services th, .services td {padding: .45rem .8rem .45rem 0; border-bottom: 1px solid #8893a040; vertical-align: top}
.services .told {width: 34%}
.services .wanted {width: 18%}
.services .number {text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums}
.services .state {white-space: nowrap}
.services .over {color: #e5534b; font-weight: bold}
.services .bound {opacity: .7}
.services a {color: inherit; text-underline-offset: .2em}
</style>"""


class Glance(NamedTuple):
    """A service, its newest p99 (seconds) and requests a second, None where they are not measured now, and what is open.

    `waiting` are the proposals that nobody has decided on.
    """

    service: ServiceStatus
    p99_s: float | None
    requests_per_s: float | None
    incidents: tuple[Incident, ...]
    waiting: tuple[Proposal, ...]


def overview_page(client: Client, services: Sequence[ServiceStatus], now_ms: int) -> None:
    """All services at a glance."""
    newest = _newest(client, services, now_ms)
    incidents = client.incidents(state="open")
    waiting = client.proposals(state="proposed")
    glances = [
        Glance(
            s,
            *newest[s.name],
            tuple(i for i in incidents if i.service == s.name),
            tuple(p for p in waiting if p.service == s.name),
        )
        for s in sorted(services, key=lambda s: (WORST_FIRST.index(s.state), s.name))
    ]
    st.html(STYLE)
    st.html(table(glances))


def table(glances: Iterable[Glance]) -> str:
    """The table as HTML, with links from a service to its live page, from an incident to itself, and to what waits."""
    heads = "<th>Service<th>State<th>Since<th class=number>p99 / objective<th class=number>Requests<th class=told>Incident"
    heads += "<th class=wanted>Waits for approval"
    return f"<table class=services><tr>{heads}</tr>{''.join(map(_row, glances))}</table>"


def _row(glance: Glance) -> str:
    service = glance.service
    colour, state = STATES[service.state]
    since_ms = _since_ms(glance)
    cells = (
        f"<td><b>{_link(service.name, 'live', service=service.name)}</b></td>",
        f'<td class=state><span style="color: {colour}">●</span> {state}</td>',
        f"<td class=state>{'' if since_ms is None else clock_time(since_ms)}</td>",
        f"<td class=number>{_p99(glance)}</td>",
        f"<td class=number>{escape(figure(glance.requests_per_s, 'requests/s'))}</td>",
        f"<td>{'<br>'.join(map(_incident, glance.incidents))}</td>",
        f"<td>{'<br>'.join(map(_proposal, glance.waiting))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"


def _since_ms(glance: Glance) -> int | None:
    """Since when there is trouble; of a service that is well there is nothing to say."""
    if glance.incidents:
        return min(incident.start_ms for incident in glance.incidents)
    return glance.service.traffic_ms if glance.service.state == "stale" else None


def _p99(glance: Glance) -> str:
    bound_s = glance.service.objective.latency_p99_seconds if glance.service.objective else None
    over = glance.p99_s is not None and bound_s is not None and glance.p99_s > bound_s
    now = f"<span{' class=over' if over else ''}>{escape(figure(glance.p99_s, 'seconds'))}</span>"
    return now if bound_s is None else f"{now} <span class=bound>/ {escape(figure(bound_s, 'seconds'))}</span>"


def _incident(incident: Incident) -> str:
    said = incident.title.removeprefix(f"{incident.service}: ")
    return _link(said, "incidents", service=incident.service, incident=incident.id)


def _proposal(proposal: Proposal) -> str:
    said = f"{proposal.knob} {change(proposal.from_value, proposal.to_value)}"
    return _link(said, "proposals", service=proposal.service)


def _link(text: str, page: str, **query: str) -> str:
    return f'<a href="{escape(f"{page}?{urlencode(query)}")}">{escape(text)}</a>'


def _newest(client: Client, services: Sequence[ServiceStatus], now_ms: int) -> dict[str, tuple[float | None, float | None]]:
    """The newest p99 and requests a second of each service."""
    ids = {s.name: [str(canonical_series(s.name, signal).id) for signal in SHOWN] for s in services}
    found = client.samples(
        [series_id for of_service in ids.values() for series_id in of_service], now_ms - WINDOW_MS, now_ms
    )

    def newest(service: ServiceStatus, series_id: str) -> float | None:
        columns = found.get(series_id)
        measured = columns is not None and measured_now(columns.time_ms, now_ms, service.stale_after_ms)
        return columns.value[-1] if columns is not None and measured else None

    return {s.name: (newest(s, ids[s.name][0]), newest(s, ids[s.name][1])) for s in services}
