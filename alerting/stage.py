"""The stage that turns anomalies into incidents. Detection runs on sample time; the wall clock only stamps history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from alerting.diagnosis import diagnose, settled
from alerting.grouping import Change, GroupingConfig, merged, next_change, opens_incident
from alerting.incident import described, given_up, moved, opened, silenced
from alerting.silences import silence_of
from alerting.view import sunk, view_of
from recwatch.core.bus import Record
from recwatch.core.errors import BadInput
from recwatch.core.event_json import version_of
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.objective import Objective
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.stage import Outgoing
from recwatch.core.targets import TargetSet, TargetState

REMEMBER_MS = 3_600_000
WAIT_FOR_SAMPLES_MS = 5_000


@dataclass(slots=True)
class Watch:
    """What is known of one service: up to `sample_ms`, and the wall clock since when anomalies are ahead of the samples."""

    anomalies: dict[str, Anomaly] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    incident: Incident | None = None
    sample_ms: int = 0
    ahead_since_ms: int | None = None

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


_STATE = TypeAdapter(dict[str, Watch])


class AlertingStage:
    """Opens, updates and resolves one incident at a time per service.

    An incident is published when it opens, when its anomalies, its top cause, its marks or its severity change, and when it
    resolves: always whole, under the same id. After `restore` every open one is published once more, as what was on the bus
    when the process ended is lost. Records that are repeated or out of order change nothing.
    """

    name = "alerting"
    topics = ("series", "targets", "samples", "anomalies", "marks", "silences")

    def __init__(
        self,
        objectives: Mapping[str, Objective] | None = None,
        grouping: GroupingConfig | None = None,
        recent: Recent | None = None,
    ) -> None:
        self._objectives = dict(objectives or {})
        self._grouping = grouping or GroupingConfig()
        self._recent = recent or Recent()
        self._watches: dict[str, Watch] = {}
        self._restored: list[Incident] = []
        self._down: dict[str, tuple[TargetState, ...]] = {}

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._take(record.message)
        told, self._restored = self._restored, []
        told += [incident for watch in self._watches.values() for incident in self._steps(watch, now_ms)]
        return [Outgoing("incidents", incident.service, incident) for incident in told]

    def snapshot(self) -> bytes:
        """All that is remembered but the samples and how the targets are, as JSON."""
        return _STATE.dump_json(self._watches)

    def restore(self, snapshot: bytes) -> None:
        """Take up where `snapshot` left off. Open incidents keep their causes until samples tell more.

        Raises BadInput for one that another version wrote.
        """
        try:
            self._watches = _STATE.validate_json(snapshot)
        except ValidationError as error:
            raise BadInput("alerting's snapshot is of another version; start without it") from error
        known = (watch.incident for watch in self._watches.values())
        self._restored = [incident for incident in known if incident is not None and incident.state == "open"]

    def adopt(
        self, incidents: Iterable[Incident], anomalies: Iterable[Anomaly], services: Collection[str], now_ms: int
    ) -> None:
        """Take up what a store knows and this stage, begun anew or from an older snapshot, does not; once, after `restore`.

        Of services that are not among those watched, every open incident is resolved.
        """
        for anomaly in anomalies:
            self._take(anomaly)
        for incident in incidents:
            watch = self._watch(incident.service)
            if watch.incident is None or _newer(incident, watch.incident):
                watch.incident = incident
        known = [(watch, watch.incident) for watch in self._watches.values() if watch.incident is not None]
        self._restored = [self._resumed(w, incident, services, now_ms) for w, incident in known if incident.state == "open"]

    def open_anomalies(self) -> list[Anomaly]:
        """Every anomaly of any service that has not ended, as far as is known here."""
        return [a for watch in self._watches.values() for a in watch.anomalies.values() if a.end_ms is None]

    def _resumed(self, watch: Watch, incident: Incident, services: Collection[str], now_ms: int) -> Incident:
        for anomaly in incident.anomalies:
            self._take(anomaly)
        if incident.service not in services:
            watch.incident = incident = given_up(incident, watch.time_ms(), now_ms)
        return incident

    def _take(self, message: object) -> None:
        match message:
            case SeriesSet():
                canonical = tuple(s for s in message.series if s.canonical)
                self._recent.learn(replace(message, series=canonical))
            case Samples() if not message.target and len(message):
                self._recent.append(message)
                watch = self._watch(message.service)
                watch.sample_ms = max(watch.sample_ms, int(message.time_ms.max()))
            case TargetSet():
                self._down[message.service] = message.down
            case Anomaly():
                known = self._watch(message.service).anomalies
                known[message.id] = merged(known.get(message.id), message)
            case Mark():
                self._watch(message.service).marks.setdefault(message.id, message)
            case Silence():
                self._watch(message.service).silences[message.id] = message

    def _watch(self, service: str) -> Watch:
        return self._watches.setdefault(service, Watch())

    def _steps(self, watch: Watch, now_ms: int) -> Iterator[Incident]:
        """The incident after each change that is due; an outage already over opens and resolves in one go."""
        if not watch.ready(now_ms):
            return
        watch.forget(now_ms)
        while (after := self._after(watch, now_ms)) is not None:
            yield after

    def _after(self, watch: Watch, now_ms: int) -> Incident | None:
        """The incident one step on, if others should hear of it. A plainer diagnosis is kept in any case."""
        before = watch.incident
        since_ms = watch.sample_ms - round(1000 * self._grouping.unanswered_after_s)
        watch.anomalies = {id_: sunk(a, self._recent, since_ms) for id_, a in watch.anomalies.items()}
        change = next_change(before, watch.anomalies.values(), watch.time_ms(), self._grouping)
        if change is None and before is not None and before.state == "open":
            change = Change("update", before.start_ms, None, before.anomalies)
        if change is None:
            return None
        watch.incident = after = self._changed(watch, change, now_ms)
        return after if before is None or _differs(before, after) else None

    def _changed(self, watch: Watch, change: Change, now_ms: int) -> Incident:
        service = change.anomalies[0].service
        span_ms = (change.start_ms, watch.time_ms())
        view = view_of(self._recent, service, span_ms, change.anomalies, watch.marks.values())
        causes = diagnose(replace(view, down=self._down.get(service, ())))
        if change.step == "open" or watch.incident is None:
            after = opened(service, change, causes, now_ms)
        else:
            after = moved(watch.incident, change, settled(watch.incident.causes, causes), now_ms)
        objective = self._objectives.get(service)
        felt = [a for a in after.anomalies if opens_incident(a, watch.time_ms(), self._grouping)]
        after = described(after, felt, watch.marks.values(), self._recent, objective)
        return silenced(after, silence_of(after, watch.silences.values(), now_ms), now_ms)


def _newer(one: Incident, other: Incident) -> bool:
    return (one.start_ms, version_of(one)) > (other.start_ms, version_of(other))


def _differs(before: Incident, after: Incident) -> bool:
    """Whether people or machines should hear of it; fresher figures alone are not worth a message."""

    def told(incident: Incident) -> tuple[object, ...]:
        marks = frozenset(m.id for m in incident.marks)
        return incident.id, incident.history, incident.severity, incident.anomalies, marks

    return told(before) != told(after)
