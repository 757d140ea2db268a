"""The pages that look back: incidents, proposals, and the targets that all of it is measured from."""

from __future__ import annotations

import streamlit as st

from dashboards.console.cards import STATE_COLOURS, evidence_list, header, incident_card, proposal_card, steps
from dashboards.console.choice import choice
from dashboards.console.words import cause_name, change, clock_time, figure, plain, span
from recwatch.client import Client, ServiceStatus
from recwatch.core.events import Anomaly, Incident
from recwatch.core.proposals import Proposal
from recwatch.core.wording import counted

DAY_MS = 86_400_000


def incidents_page(client: Client, service: ServiceStatus, now_ms: int) -> None:
    """The incidents of the last week, newest first, one of them opened."""
    incidents = client.incidents(service.name, since_ms=now_ms - 7 * DAY_MS)
    header(service, incidents, now_ms)
    if not incidents:
        st.info("No incident in the last 7 days.", icon=":material/check_circle:")
        return
    names = {i.id: f"{clock_time(i.start_ms)}  {cause_name(i.cause)}, {i.state}" for i in incidents}
    chosen = choice("Incident", list(names), "incident", names.__getitem__)
    incident = next(i for i in incidents if i.id == chosen)
    left, right = st.columns([11, 10])
    with left, st.container(border=True):
        incident_card(incident, now_ms)
    with right, st.container(border=True):
        st.markdown("##### Timeline")
        steps(incident.history)
    _other_causes(incident)
    _anomalies(incident)


def _other_causes(incident: Incident) -> None:
    for ranked in incident.causes[1:]:
        with st.expander(f"{cause_name(ranked.cause)} {figure(ranked.confidence, 'ratio')}"):
            evidence_list(ranked.evidence)


def _anomalies(incident: Incident) -> None:
    heads = "| From | Until | Signal | What | Method | Peak score |"
    rule = "| --- | --- | --- | --- | --- | ---: |"
    st.markdown("##### Anomalies")
    st.markdown("\n".join([heads, rule, *map(_anomaly_row, incident.anomalies)]))
    for mark in incident.marks:
        st.markdown(
            f":violet[{clock_time(mark.time_ms)} {mark.kind.replace('_', ' ')}] {plain(mark.text)} by {plain(mark.by)}"
        )


def _anomaly_row(anomaly: Anomaly) -> str:
    times = f"{clock_time(anomaly.start_ms)} | {clock_time(anomaly.end_ms)}"
    said = f"{plain(anomaly.series.partition('{')[0])} | {plain(anomaly.reason)} | {plain(anomaly.method)}"
    return f"| {times} | {said} | {figure(anomaly.peak_score)} |"


def proposals_page(client: Client, service: ServiceStatus, now_ms: int) -> None:
    """What waits for a person, and the ledger of what was done."""
    header(service, client.incidents(service.name, "open"), now_ms)
    proposals = client.proposals(service.name, since_ms=now_ms - 7 * DAY_MS)
    for proposal in proposals:
        if proposal.state == "proposed":
            with st.container(border=True):
                proposal_card(client, proposal)
                evidence_list(proposal.evidence)
    if not proposals:
        st.info("No proposal in the last 7 days.", icon=":material/check_circle:")
    for hold in client.holds():
        if hold.service == service.name:
            st.caption(f"Tuning holds still since {clock_time(hold.time_ms)}: {plain(hold.reason)}")
    if proposals:
        st.markdown("##### Ledger")
        heads = "| When | Change | State | Predicted p99 | Measured p99 | Cost | Last step |"
        rule = "| --- | --- | --- | --- | --- | --- | --- |"
        st.markdown("\n".join([heads, rule, *(_ledger_row(p) for p in proposals)]))


def _ledger_row(proposal: Proposal) -> str:
    last = proposal.history[-1]
    cells = (
        clock_time(proposal.created_ms),
        plain(f"{proposal.knob} {change(proposal.from_value, proposal.to_value)}"),
        f":{STATE_COLOURS[proposal.state]}-badge[{proposal.state.replace('_', ' ')}]",
        span(proposal.predicted.p99_ms, "ms"),
        figure(proposal.measured_p99_ms, "ms" if proposal.measured_p99_ms is not None else ""),
        f"× {figure(proposal.predicted.cost_ratio.mid)}",
        f"{plain(last.by)}: {plain(last.why)}",
    )
    return f"| {' | '.join(cells)} |"


def targets_page(client: Client, service: ServiceStatus, now_ms: int) -> None:
    """What is scraped, and whether it answers."""
    header(service, client.incidents(service.name, "open"), now_ms)
    if not service.targets:
        st.info(
            "No collector has told of a target of this service yet. Targets are named under 'services' in the configuration."
        )
        return
    states = {True: ":green-badge[up]", False: ":red-badge[down]", None: ":gray-badge[unknown]"}
    rows = [
        f"| {states[t.up]} | {plain(t.job)} | {plain(t.url)} | {clock_time(t.last_scrape_ms)} | {plain(t.error)} |"
        for t in service.targets
    ]
    st.markdown("\n".join(["| State | Job | Address | Last scrape | Error |", "| --- | --- | --- | --- | --- |", *rows]))
    names = sorted({signal.name for signal in client.signals(service.name)})
    with st.expander(f"{counted(len(names), 'signal')} known of this service"):
        st.markdown(" ".join(f"`{name}`" for name in names))
        st.caption("`recwatch explain NAME` says how one is judged.")
