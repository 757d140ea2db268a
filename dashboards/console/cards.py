"""How a service is, its incident and its proposal, each on a card. What others wrote is shown as plain text."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from dashboards.console.words import cause_name, change, clock_time, figure, plain, span
from recwatch.client import Client, ServiceStatus
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Evidence, Incident, Transition
from recwatch.core.proposals import Proposal, ProposalState
from recwatch.core.wording import duration

LEAST_STALE_MS = 15_000
STATE_COLOURS: dict[ProposalState, Literal["orange", "blue", "green", "red", "gray"]] = {
    "proposed": "orange",
    "approved": "blue",
    "applied": "blue",
    "verified": "green",
    "rolled_back": "red",
    "rejected": "gray",
    "expired": "gray",
}


def header(service: ServiceStatus, incidents: Sequence[Incident], now_ms: int) -> None:
    """The service, and how it is."""
    name = plain(service.name)
    open_incidents = [i for i in incidents if i.state == "open"]
    if open_incidents:
        causes = ", ".join(cause_name(i.cause).lower() for i in open_incidents)
        st.markdown(f"### :red[●] {name}: incident, {plain(causes)}")
    elif service.state == "stale":
        since = "yet" if service.traffic_ms is None else f"since {clock_time(service.traffic_ms)}"
        st.markdown(f"### :orange[●] {name}: no traffic figures {since}")
    elif service.state == "unmeasured":
        st.markdown(f"### :orange[●] {name}: objective not measured")
    elif service.state == "healthy":
        st.markdown(f"### :green[●] {name}: healthy")
    else:
        st.markdown(f"### :blue[●] {name}: warming up")
    if service.unmeasured:
        reasons = "".join(f"\n- {plain(why)}" for why in service.unmeasured.values())
        st.warning(f"The objective is not watched in full:{reasons}")
    if service.last_ms is not None and now_ms - service.last_ms > max(LEAST_STALE_MS, service.stale_after_ms):
        silent = duration(now_ms - service.last_ms)
        st.warning(f"No samples for {silent}; what is shown is old. The page Targets says what does not answer.")


def incident_card(incident: Incident, now_ms: int) -> None:
    """Cause, title, and evidence, with what a look back tells."""
    best = incident.causes[0]
    if incident.state == "open":
        when = f"open for {duration(now_ms - incident.start_ms)}"
    else:
        when = f"resolved after {duration((incident.end_ms or now_ms) - incident.start_ms)}"
    badge = ":red-badge[incident]" if incident.state == "open" else ":green-badge[resolved]"
    st.markdown(f"##### {cause_name(best.cause)} :gray[{figure(best.confidence, 'ratio')}] {badge}")
    st.markdown(f"{plain(incident.title)}  \n:gray[since {clock_time(incident.start_ms)}, {when}]")
    evidence_list((*best.evidence, *incident.shifts))
    others = ", ".join(f"{cause_name(c.cause).lower()} {figure(c.confidence, 'ratio')}" for c in incident.causes[1:4])
    if others:
        st.caption(f"Less likely: {plain(others)}")


def proposal_card(client: Client, proposal: Proposal) -> None:
    """The change, what it promises, and the buttons while it waits for a person."""
    state = proposal.state.replace("_", " ")
    st.markdown(
        f"##### {plain(proposal.knob)} {plain(change(proposal.from_value, proposal.to_value))} "
        f":{STATE_COLOURS[proposal.state]}-badge[{state}]"
    )
    st.markdown(plain(proposal.reason))
    _promise(proposal)
    if proposal.state == "proposed":
        _decide(client, proposal)
    else:
        steps(proposal.history[1:])


def _promise(proposal: Proposal) -> None:
    predicted = proposal.predicted
    rows = [
        ("p99 predicted", span(predicted.p99_ms, "ms")),
        ("Throughput", span(predicted.throughput_rps, "req/s")),
        ("Cost", f"× {span(predicted.cost_ratio)}"),
    ]
    if predicted.quality_ratio is not None:
        rows.append(("Quality", figure(predicted.quality_ratio.mid, "ratio")))
    if proposal.measured_p99_ms is not None:
        rows.append(("**p99 measured**", f"**{figure(proposal.measured_p99_ms, 'ms')}**"))
    heads = " | ".join(name for name, _ in rows)
    st.markdown(f"| {heads} |\n|{' --- |' * len(rows)}\n| {' | '.join(text for _, text in rows)} |")


def _decide(client: Client, proposal: Proposal) -> None:
    """Buttons until one is pressed; afterwards what was said, until recwatch has acted on it."""
    said = st.session_state.setdefault("said", {})
    if proposal.id in said:
        st.success(said[proposal.id], icon=":material/check:")
        return
    who, why = st.columns([3, 5])
    buttons = st.container(horizontal=True)
    who.text_input("Your name", _user(), key=f"by {proposal.id}", max_chars=100)
    why.text_input("Why (optional)", key=f"why {proposal.id}", max_chars=500)
    for verdict in ("approve", "reject"):
        buttons.button(
            verdict.capitalize(),
            key=f"{verdict} {proposal.id}",
            type="primary" if verdict == "approve" else "secondary",
            on_click=_say,
            args=(client, proposal, verdict),
        )
    st.caption("The console acts with recwatch's token for everyone who can open its loopback port.")
    if refused := st.session_state.get(f"refused {proposal.id}"):
        st.error(plain(refused))


def _say(client: Client, proposal: Proposal, verdict: Literal["approve", "reject"]) -> None:
    by, why = st.session_state[f"by {proposal.id}"], st.session_state[f"why {proposal.id}"]
    try:
        decision = client.decide(proposal.id, verdict, by, why)
    except (BadInput, Unavailable) as error:
        st.session_state[f"refused {proposal.id}"] = str(error)
        return
    then = "recwatch applies it now and then measures" if verdict == "approve" else "nothing is changed"
    done = {"approve": "approved", "reject": "rejected"}[verdict]
    what = plain(f"{proposal.knob} {change(proposal.from_value, proposal.to_value)}")
    st.session_state["said"][proposal.id] = f"You {done} {what} at {clock_time(decision.time_ms)}; {then}."


def evidence_list(evidence: Sequence[Evidence]) -> None:
    """The reasons; their text holds the figures."""
    st.markdown("\n".join(f"- {plain(e.text)}" for e in evidence))


def steps(history: Sequence[Transition]) -> None:
    """What happened when, by whom and why."""
    lines = (
        f"- :gray[{clock_time(t.time_ms)}] **{plain(t.state.replace('_', ' '))}** by {plain(t.by)}{_because(t)}"
        for t in history
    )
    st.markdown("\n".join(lines))


def _because(step: Transition) -> str:
    return f": {plain(step.why)}" if step.why else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "console"
