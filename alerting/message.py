"""Incident → the message that a person reads, in plain text. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from alerting.first_look import FIRST_LOOK
from alerting.grouping import GroupingConfig, signal_of
from alerting.view import MARK_BEFORE_MS
from recwatch.core.events import Cause, Incident, Mark, RankedCause, event_id
from recwatch.core.wording import clean, duration, figure, spoken, spoken_cause, utc

Occasion = Literal["open", "cause", "severity", "reopened", "resolved"]

MOST_EVIDENCE = 6
MOST_MARKS = 5


@dataclass(frozen=True, slots=True)
class Message:
    """What a notifier is to deliver once. A receiver may drop a repetition by its `id`; `time_ms` is the wall clock."""

    id: str
    occasion: Occasion
    time_ms: int
    incident: Incident
    subject: str
    text: str
    link: str


def message_of(incident: Incident, occasion: Occasion, time_ms: int, console_url: str = "", nth: int = 1) -> Message:
    """The `nth` message about this incident, ready to send."""
    link = f"{console_url.rstrip('/')}/?incident={quote(incident.id)}" if console_url else ""
    subject = f"{_LABELS.get(occasion) or _urgency(incident)} {clean(incident.title)}"
    id_ = event_id("message", incident.id, nth)
    return Message(id_, occasion, time_ms, incident, subject, rendered(incident, subject, link), link)


_LABELS: dict[Occasion, str] = {
    "cause": "[CAUSE CHANGED]",
    "severity": "[NOW A PAGE]",
    "reopened": "[OPEN AGAIN]",
    "resolved": "[RESOLVED]",
}


def _urgency(incident: Incident) -> str:
    return "[PAGE]" if incident.severity == "page" else "[TICKET]"


def rendered(incident: Incident, subject: str, link: str) -> str:
    """The whole text: what, since when, why, what changed near it, what to look at first, and where to read on."""
    first, *others = incident.causes
    rows = [("When", _when(incident)), *_why(first)]
    rows += [("Or", f"{spoken_cause(c.cause)}, {figure(c.confidence, 'ratio')}: {_brief(c)}") for c in others]
    rows += _changed(incident)
    rows += [("" if n else "Shift", clean(e.text)) for n, e in enumerate(incident.shifts)]
    if incident.anomalies:
        rows.append(("Signals", _signals(incident)))
    if incident.state == "open":
        rows.append(("First", FIRST_LOOK[first.cause]))
    else:
        rows += _flaps(incident)
    if link:
        rows.append(("Console", link))
    return "\n".join([subject, "", *(f"{label:<9}{text}".rstrip() for label, text in rows), ""])


def _when(incident: Incident) -> str:
    if incident.end_ms is None:
        return f"since {utc(incident.start_ms)}"
    return f"{utc(incident.start_ms)} to {utc(incident.end_ms, '%H:%M:%S')}, {duration(incident.end_ms - incident.start_ms)}"


def _why(cause: RankedCause) -> list[tuple[str, str]]:
    belief = "" if cause.cause is Cause.UNKNOWN else f", {figure(cause.confidence, 'ratio')} sure"
    shown = [("", f"- {clean(e.text)}") for e in cause.evidence[:MOST_EVIDENCE]]
    return [("Cause", f"{spoken_cause(cause.cause)}{belief}"), *shown]


def _brief(cause: RankedCause) -> str:
    return "; ".join(clean(e.text) for e in cause.evidence[:2])


def _changed(incident: Incident) -> list[tuple[str, str]]:
    if not incident.marks:
        return [("Changed", f"nothing known in the {duration(MARK_BEFORE_MS)} before")]
    latest = incident.marks[-MOST_MARKS:]
    return [("Changed" if n == 0 else "", _mark(m, incident.start_ms)) for n, m in enumerate(latest)]


def _mark(mark: Mark, start_ms: int) -> str:
    side = "before" if mark.time_ms <= start_ms else "after"
    apart = f"{duration(abs(mark.time_ms - start_ms))} {side} the start"
    return (
        f"{utc(mark.time_ms, '%H:%M:%S')} {mark.kind.replace('_', ' ')}: {clean(mark.text)}, by {clean(mark.by)} ({apart})"
    )


def _flaps(incident: Incident) -> list[tuple[str, str]]:
    """What is not told any more of an incident that came back; `outbox.occasion_for` is silent then."""
    times = sum(step.state == "open" for step in incident.history)
    if times < 2:
        return []
    within = duration(round(1000.0 * GroupingConfig().reopen_within_s))
    return [("Flaps", f"it opened {times} times; should it come back within {within}, no message follows: watch it")]


def _signals(incident: Incident) -> str:
    names = dict.fromkeys(spoken(signal_of(a)) for a in incident.anomalies)
    return f"{', '.join(list(names)[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
