"""Change → Incident: its title, its severity, and its history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from alerting.grouping import Change, signal_of, unanswered
from alerting.silences import covered_until
from alerting.view import MARK_BEFORE_MS
from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Anomaly, Cause, Incident, Mark, RankedCause, Severity, Silence, Transition, event_id
from recwatch.core.objective import Objective
from recwatch.core.recent import Recent
from recwatch.core.wording import clean, duration, figure, least, spoken, spoken_cause

BY = "recwatch"
STRONGLY = 2.0
OUT_FOR_ROWS = 3

LEADS = (
    "requests_per_second",
    "latency_p99_seconds",
    "first_token_p99_seconds",
    "output_token_p99_seconds",
    "errors_ratio",
    "answer_quality_ratio",
    "latency_p95_seconds",
    "latency_mean_seconds",
    "first_token_mean_seconds",
    "output_token_mean_seconds",
    "latency_p50_seconds",
    "targets_up_ratio",
)
"""Which signal the title speaks of, the first one that is anomalous."""


def severity_of(felt: Iterable[Anomaly], objective: Objective | None, *, out_of_objective: bool) -> Severity:
    """Whether to wake someone: answers or targets lost, out of objective, or twice beyond the alarm where none speaks.

    `felt` are the anomalies that are reason enough for an incident, so what is lost among them has stayed lost. Latency and
    errors are governed by a service's objective: within it, however unusual, they are a ticket.
    """
    governed = {SIGNALS[name].group for name in objective.bounds()} if objective else set()
    for a in felt:
        signal = SIGNALS.get(signal_of(a))
        strongly = a.peak_score >= STRONGLY and signal is not None and signal.group not in governed
        if signal_of(a) == "targets_up_ratio" or unanswered(a) or out_of_objective or strongly:
            return "page"
    return "ticket"


def is_out_of_objective(service: str, recent: Recent, objective: Objective | None) -> bool:
    """Whether the newest three readings of any signal that the objective speaks of are all beyond its bound."""
    bounds = objective.bounds() if objective else {}
    beyond = [recent.values(service, name)[-OUT_FOR_ROWS:] > bound for name, bound in bounds.items()]
    return any(len(rows) == OUT_FOR_ROWS and bool(rows.all()) for rows in beyond)


def title_of(incident: Incident, felt: Iterable[Anomaly], recent: Recent, objective: Objective | None) -> str:
    """One sentence: the service, its worst figure of the signal that leads, what it should be, and the top cause.

    Of targets down it tells the same share as the evidence does.
    """
    lead = lead_of(felt)
    if lead is None:
        return f"{clean(incident.service)}: {_supposed(incident.cause)}"
    unit = SIGNALS[signal_of(lead)].unit
    bound = objective.bounds().get(signal_of(lead)) if objective else None
    against = "" if lead.expected is None else f" (expected {figure(lead.expected, unit)})"
    if bound is not None:
        against = f" (objective {figure(bound, unit)})"
    worst = _told_of(lead, incident, recent)
    shown = least(figure(worst, unit), recent.open_ended(incident.service, signal_of(lead), worst))
    said = _said(lead, shown) + against
    return f"{clean(incident.service)}: {said}: {_supposed(incident.cause)}"


def _said(lead: Anomaly, worst: str) -> str:
    if unanswered(lead):
        return f"no answers, {worst}"
    return f"targets down, {worst} answer" if signal_of(lead) == "targets_up_ratio" else f"{spoken(signal_of(lead))} {worst}"


def _supposed(cause: Cause) -> str:
    return "cause not known yet" if cause is Cause.UNKNOWN else spoken_cause(cause)


def lead_of(felt: Iterable[Anomaly]) -> Anomaly | None:
    """Which of the anomalies that users feel the incident is told by; None without any."""
    return min(felt, key=_order, default=None)


def _order(felt: Anomaly) -> tuple[bool, bool, int]:
    return not unanswered(felt), felt.method != "objective", LEADS.index(signal_of(felt))


def _told_of(lead: Anomaly, incident: Incident, recent: Recent) -> float:
    shown = (
        e.value for e in incident.causes[0].evidence if e.series == lead.series and signal_of(lead) == "targets_up_ratio"
    )
    return next((value for value in shown if value is not None), _worst(lead, incident, recent))


def _worst(anomaly: Anomaly, incident: Incident, recent: Recent) -> float:
    series = next((s for s in recent.series(incident.service) if s.key == anomaly.series), None)
    seen: list[float] = [] if series is None else recent.rows(series.id, anomaly.start_ms, anomaly.end_ms)[1].tolist()
    return (max if anomaly.direction == "above" else min)([anomaly.value, *seen])


def opened(service: str, change: Change, causes: tuple[RankedCause, ...], now_ms: int) -> Incident:
    """A new incident, without title, severity and marks. Its id follows from the first anomaly that users feel."""
    first = next(a for a in change.anomalies if a.start_ms >= change.start_ms)
    step = Transition("open", now_ms, BY, f"{clean(first.reason)}; cause: {spoken_cause(causes[0].cause)}")
    id_ = event_id("incident", service, first.id)
    return Incident(id_, service, "open", "ticket", change.start_ms, None, "", causes, change.anomalies, (), (step,))


def moved(incident: Incident, change: Change, causes: tuple[RankedCause, ...], now_ms: int) -> Incident:
    """The incident after a change other than its opening; a step that people should see is added to its history."""
    steps: list[Transition] = []
    if change.step == "reopen":
        steps.append(Transition("open", now_ms, BY, "opened again: what users feel came back soon after the end"))
    if causes[0].cause is not incident.cause:
        why = f"{spoken_cause(incident.cause)} became {spoken_cause(causes[0].cause)}: {_because(causes[0])}"
        steps.append(Transition("updated", now_ms, BY, why))
    if change.step == "resolve":
        lasted = duration((change.end_ms or change.start_ms) - change.start_ms)
        steps.append(Transition("resolved", now_ms, BY, f"all that users felt has ended; it lasted {lasted}"))
    return replace(
        incident,
        state="resolved" if change.step == "resolve" else "open",
        end_ms=change.end_ms,
        causes=causes,
        anomalies=change.anomalies,
        history=(*incident.history, *steps),
    )


def given_up(incident: Incident, end_ms: int, now_ms: int) -> Incident:
    """The open incident of a service that is not watched any more, resolved: nobody will see its end."""
    step = Transition("resolved", now_ms, BY, "recwatch no longer watches this service")
    return replace(incident, state="resolved", end_ms=end_ms, history=(*incident.history, step))


def _because(cause: RankedCause) -> str:
    return "; ".join(e.text for e in cause.evidence[:2]) or "no other fits"


def described(
    incident: Incident, felt: Sequence[Anomaly], marks: Iterable[Mark], recent: Recent, objective: Objective | None
) -> Incident:
    """The incident with the title, severity and marks that its causes and what users feel call for. Severity never falls."""
    out = is_out_of_objective(incident.service, recent, objective) or any(
        a.method == "objective" for a in incident.anomalies
    )
    severe = severity_of(felt, objective, out_of_objective=out)
    until = incident.end_ms
    near = [
        m for m in marks if incident.start_ms - MARK_BEFORE_MS <= m.time_ms and (until is None or m.time_ms <= until + 1)
    ]
    return replace(
        incident,
        title=title_of(incident, felt, recent, objective),
        severity="page" if "page" in (incident.severity, severe) else "ticket",
        marks=tuple(sorted(near, key=lambda m: (m.time_ms, m.id))),
    )


def silenced(incident: Incident, silence: Silence | None, now_ms: int) -> Incident:
    """The incident with a note of the silence that covers it, once per silence."""
    if silence is None:
        return incident
    why = covered_until(silence)
    step = Transition("silenced", now_ms, clean(silence.by), why)
    noted = any((s.state, s.by, s.why) == (step.state, step.by, step.why) for s in incident.history)
    return incident if noted else replace(incident, history=(*incident.history, step))
