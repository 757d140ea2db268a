"""What alerting remembers of one service."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerting.diagnosis import Contender, settled
from alerting.grouping import GroupingConfig
from alerting.incident import given_up
from alerting.outage import is_outage, left_alone, split
from recwatch.core.event_json import version_of
from recwatch.core.events import Anomaly, Incident, Mark, RankedCause, Silence

REMEMBER_MS = 3_600_000
WAIT_FOR_SAMPLES_MS = 5_000


@dataclass(slots=True)
class Watch:
    """What is known of one service: up to `sample_ms`, and the wall clock since when anomalies are ahead of the samples.

    `incident` is the latest one; `outage` one of lost targets alone, that others go on beside. `contenders` are causes that
    may take the place of an incident's own, by its id.
    """

    anomalies: dict[str, Anomaly] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    incident: Incident | None = None
    outage: Incident | None = None
    sample_ms: int = 0
    ahead_since_ms: int | None = None
    contenders: dict[str, Contender] = field(default_factory=dict)

    def ready(self, now_ms: int) -> bool:
        """Whether the samples that the anomalies speak of are here, or have been waited for long enough."""
        if max((a.start_ms for a in self.anomalies.values()), default=0) <= self.sample_ms:
            self.ahead_since_ms = None
            return True
        self.ahead_since_ms = now_ms if self.ahead_since_ms is None else self.ahead_since_ms
        return now_ms - self.ahead_since_ms >= WAIT_FOR_SAMPLES_MS

    def time_ms(self) -> int:
        """The newest sample time heard of."""
        return max([self.sample_ms, *(a.end_ms or a.start_ms for a in self.anomalies.values())])

    def forget(self, now_ms: int) -> None:
        """Let go of what ended more than an hour ago."""
        since_ms = self.time_ms() - REMEMBER_MS
        self.anomalies = {k: a for k, a in self.anomalies.items() if a.end_ms is None or a.end_ms >= since_ms}
        self.marks = {k: m for k, m in self.marks.items() if m.time_ms >= since_ms}
        self.silences = {k: s for k, s in self.silences.items() if s.end_ms > now_ms}
        if self.outage is not None and self.outage.end_ms is not None and self.outage.end_ms < since_ms:
            self.outage = None

    def part(self, config: GroupingConfig) -> tuple[list[Anomaly], list[Anomaly]]:
        """The anomalies that the outage, if any, and the incident may be about."""
        known = list(self.anomalies.values())
        if self.outage is None and self.incident is not None:
            self.outage = left_alone(self.incident, known, self.time_ms(), config)
            self.incident = self.incident if self.outage is None else None
        return ([], known) if self.outage is None else split(self.outage, self.incident, known)

    def settle(self, incident: Incident, told: tuple[RankedCause, ...]) -> tuple[RankedCause, ...]:
        """The ranking that the incident keeps, now that samples tell another."""
        known = {i.id for i in self.open_incidents()}
        self.contenders = {id_: c for id_, c in self.contenders.items() if id_ in known}
        causes, contender = settled(incident.causes, told, self.contenders.pop(incident.id, None), self.time_ms())
        if contender is not None:
            self.contenders[incident.id] = contender
        return causes

    def know(self, incident: Incident) -> None:
        """Take up what a store knows of an incident; of two that are open, the first of lost targets is the outage."""
        if self.outage is not None and self.outage.id == incident.id:
            self.outage = max(self.outage, incident, key=_age)
        elif self.incident is None or self.incident.id == incident.id:
            self.incident = max(self.incident or incident, incident, key=_age)
        else:
            older, latest = sorted((self.incident, incident), key=_age)
            outage = next((i for i in (older, latest) if is_outage(i)), None)
            if older.state == "open" and outage is not None:
                self.outage, self.incident = outage, latest if outage is older else older
            else:
                self.incident = latest

    def give_up(self, now_ms: int) -> list[Incident]:
        """Resolve what is open, and return it."""
        over = {i.id: given_up(i, self.time_ms(), now_ms) for i in self.open_incidents()}
        self.incident = self.incident and over.get(self.incident.id, self.incident)
        self.outage = self.outage and over.get(self.outage.id, self.outage)
        return list(over.values())

    def open_incidents(self) -> list[Incident]:
        return [i for i in (self.outage, self.incident) if i is not None and i.state == "open"]


def _age(incident: Incident) -> tuple[int, int]:
    return incident.start_ms, version_of(incident)
