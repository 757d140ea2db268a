"""Which anomalies make one incident, and when it opens, changes and ends. Pure; all times are sample time.

An incident opens only for an anomaly that users feel: a user-facing signal moved to its bad side, answers that stay away,
or targets that stay down. Every other anomaly is evidence, attached when it started at most `evidence_before_s` before, or
when it tells of a resource that runs out, which takes hours.
It ends once all that users feel has stayed ended for `resolve_after_s`. What comes back within `reopen_within_s` of the
end is the same trouble, flapping: the same incident opens again, with the same id.
A dead target makes an outage of its own (`outage`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Anomaly, Direction, Incident


@dataclass(frozen=True, slots=True)
class GroupingConfig:
    """Spans of sample time, in seconds."""

    evidence_before_s: float = 120.0
    resolve_after_s: float = 10.0
    reopen_within_s: float = 60.0
    targets_down_after_s: float = 15.0
    unanswered_after_s: float = 10.0


LATEST_ENDED = 50
NEXT_TO_NOTHING = 0.05
"""Share of the expected answers."""


Step = Literal["open", "reopen", "update", "resolve"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a service's incident. `start_ms` is that of the first anomaly that users feel."""

    step: Step
    start_ms: int
    end_ms: int | None
    anomalies: tuple[Anomaly, ...]


def signal_of(anomaly: Anomaly) -> str:
    """The name of the signal whose series is anomalous.

    >>> signal_of(Anomaly("1", "shop", "7", 'queue_depth{service="shop"}', "z", 0, None, 1, "above", 9, 2, ""))
    'queue_depth'
    """
    return anomaly.series.partition("{")[0]


def bad_side(signal: str) -> Direction:
    """The direction in which users feel a signal: answer quality and targets as they fall, the rest as they rise."""
    return "below" if signal in ("answer_quality_ratio", "targets_up_ratio") else "above"


def unanswered(anomaly: Anomaly) -> bool:
    """Whether next to no request was answered: a service that hangs has no latency and no errors to show."""
    fell = signal_of(anomaly) == "requests_per_second" and anomaly.direction == "below"
    return fell and anomaly.value < NEXT_TO_NOTHING * (anomaly.expected or 0.0)


def user_facing(anomaly: Anomaly) -> bool:
    """Whether users feel this anomaly: their signal, on its bad side, or next to no answers."""
    signal = SIGNALS.get(signal_of(anomaly))
    felt = signal is not None and signal.user_facing and anomaly.direction == bad_side(signal.name)
    return felt or unanswered(anomaly)


def patience_s(anomaly: Anomaly, config: GroupingConfig) -> float | None:
    """How long answers or targets may stay away before that is an incident; None where neither is what is anomalous."""
    if unanswered(anomaly):
        return config.unanswered_after_s
    down = signal_of(anomaly) == "targets_up_ratio" and anomaly.direction == "below"
    return config.targets_down_after_s if down else None


def lost(anomaly: Anomaly, now_ms: int, config: GroupingConfig) -> bool:
    """Whether answers or targets have stayed away for longer than a restart takes."""
    patience = patience_s(anomaly, config)
    lasted_ms = (now_ms if anomaly.end_ms is None else anomaly.end_ms) - anomaly.start_ms
    return patience is not None and lasted_ms >= patience * 1000


def opens_incident(anomaly: Anomaly, now_ms: int, config: GroupingConfig) -> bool:
    """Whether this anomaly is reason enough for an incident at `now_ms`; a service is given time to restart."""
    return lost(anomaly, now_ms, config) or (user_facing(anomaly) and not unanswered(anomaly))


def merged(known: Anomaly | None, told: Anomaly) -> Anomaly:
    """What is known of an anomaly once `told` arrives: an end and a worse value are kept, a repetition changes nothing."""
    if known is None:
        return told
    worse = max if told.direction == "above" else min
    return replace(told if known.end_ms is None else known, value=worse(known.value, told.value))


def next_change(current: Incident | None, known: Iterable[Anomaly], now_ms: int, config: GroupingConfig) -> Change | None:
    """The next step of a service's incident; None when all is as it was.

    `current` is the service's latest incident, open or resolved; `known` every anomaly of the last while.
    """
    anomalies = {a.id: a for a in known}
    if current is not None and current.state == "open":
        return _of_open(current, anomalies, now_ms, config)
    others = {id_: a for id_, a in anomalies.items() if current is None or not _past(a, current)}
    fresh = [a for a in others.values() if opens_incident(a, now_ms, config)]
    if not fresh:
        return None
    start_ms = min(a.start_ms for a in fresh)
    if current is not None and start_ms <= _ended(current) + config.reopen_within_s * 1000:
        members = _members((current.start_ms, now_ms), anomalies, current, config)
        return Change("reopen", current.start_ms, None, _kept(members, current.start_ms))
    return Change("open", start_ms, None, _kept(_members((start_ms, now_ms), others, None, config), start_ms))


def _of_open(current: Incident, known: Mapping[str, Anomaly], now_ms: int, config: GroupingConfig) -> Change | None:
    members = _members((current.start_ms, now_ms), known, current, config)
    felt = [a for a in members if opens_incident(a, now_ms, config)]
    ends = [a.end_ms for a in felt if a.end_ms is not None]
    if len(ends) == len(felt) and now_ms - max(ends, default=now_ms) >= config.resolve_after_s * 1000:
        return Change("resolve", current.start_ms, max(ends), _kept(members, current.start_ms))
    kept = _kept(members, current.start_ms)
    return Change("update", current.start_ms, None, kept) if kept != current.anomalies else None


def _members(
    between_ms: tuple[int, int], known: Mapping[str, Anomaly], current: Incident | None, config: GroupingConfig
) -> tuple[Anomaly, ...]:
    """The anomalies of an incident between its start and now: those near it, what runs out, and what users feel in it."""
    start_ms, now_ms = between_ms
    since_ms = start_ms - config.evidence_before_s * 1000

    def belongs(a: Anomaly) -> bool:
        lasts = a.end_ms is None or a.end_ms >= start_ms
        tells = a.method == "exhaustion" or opens_incident(a, now_ms, config)
        return a.id in kept or a.start_ms >= since_ms or (lasts and tells)

    kept = {a.id: a for a in current.anomalies} if current else {}
    near = {a.id: merged(kept.get(a.id), a) for a in known.values() if belongs(a)}
    return tuple(sorted({**kept, **near}.values(), key=lambda a: (a.start_ms, a.id)))


def _kept(members: tuple[Anomaly, ...], start_ms: int) -> tuple[Anomaly, ...]:
    """What an incident keeps of its anomalies: all open ones, the first, that of its start, and those that ended latest."""
    of_start = next((a.id for a in members if a.start_ms >= start_ms), None)
    ended = sorted((a for a in members[1:] if a.end_ms is not None), key=lambda a: (a.end_ms, a.id))
    dropped = {a.id for a in ended[:-LATEST_ENDED]} - {of_start}
    return tuple(a for a in members if a.id not in dropped)


def _past(anomaly: Anomaly, incident: Incident) -> bool:
    """Whether an anomaly is of a resolved incident, even one that the incident did not keep, or of an earlier one."""
    over = anomaly.end_ms is not None and anomaly.end_ms <= _ended(incident)
    return over or any(a.id == anomaly.id for a in incident.anomalies)


def _ended(incident: Incident) -> int:
    return incident.start_ms if incident.end_ms is None else incident.end_ms
