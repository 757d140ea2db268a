"""The stage that turns anomalies into incidents. Detection runs on sample time; the wall clock only stamps history."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from alerting.diagnosis import diagnose
from alerting.grouping import Change, GroupingConfig, merged, next_change, opens_incident
from alerting.incident import described, moved, opened, silenced
from alerting.looking_back import Shifts, looked_back
from alerting.silences import silence_of
from alerting.view import sunk, view_of
from alerting.watch import Watch
from recwatch.core.bus import Outgoing, Record
from recwatch.core.errors import BadInput
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.objective import Objective
from recwatch.core.recent import Recent
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.targets import TargetSet, TargetState

_STATE = TypeAdapter(dict[str, Watch])


class AlertingStage:
    """Opens, updates and resolves one incident at a time per service, beside an outage of targets if there is one.

    An incident is published when it opens, when its anomalies, its top cause, its marks or its severity change, when
    `shifts` tells more of it, and when it resolves: always whole, under the same id. After `restore` every open one is
    published once more, as what was on the bus when the process ended is lost. Records that are repeated or out of order
    change nothing.

    `acts` counts what is published: what older memory made of the same might have a shorter history, which readers ignore.
    """

    name = "alerting"
    topics = ("series", "targets", "samples", "anomalies", "marks", "silences")

    def __init__(
        self,
        objectives: Mapping[str, Objective] | None = None,
        grouping: GroupingConfig | None = None,
        recent: Recent | None = None,
        shifts: Shifts = lambda _recent, _trouble: (),
    ) -> None:
        self._objectives = dict(objectives or {})
        self._grouping = grouping or GroupingConfig()
        self._recent = recent or Recent()
        self._shifts = shifts
        self._watches: dict[str, Watch] = {}
        self._restored: list[Incident] = []
        self._down: dict[str, tuple[TargetState, ...]] = {}
        self.acts = 0

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._take(record.message)
        told, self._restored = self._restored, []
        told += [incident for watch in self._watches.values() for incident in self._steps(watch, now_ms)]
        self.acts += len(told)
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
        self._restored = [incident for watch in self._watches.values() for incident in watch.open_incidents()]

    def adopt(
        self, incidents: Iterable[Incident], anomalies: Iterable[Anomaly], services: Collection[str], now_ms: int
    ) -> None:
        """Take up what a store knows and this stage, begun anew or from an older snapshot, does not; once, after `restore`.

        Of services that are not among those watched, every open incident is resolved.
        """
        for anomaly in anomalies:
            self._take(anomaly)
        for incident in sorted(incidents, key=lambda i: i.start_ms):
            self._watch(incident.service).know(incident)
        self._restored = [i for watch in self._watches.values() for i in self._resumed(watch, services, now_ms)]

    def open_anomalies(self) -> list[Anomaly]:
        """Every anomaly of any service that has not ended, as far as is known here."""
        return [a for watch in self._watches.values() for a in watch.anomalies.values() if a.end_ms is None]

    def _resumed(self, watch: Watch, services: Collection[str], now_ms: int) -> list[Incident]:
        """The open incidents to be told of again; those of a service that is not watched any more are over."""
        for anomaly in (a for incident in watch.open_incidents() for a in incident.anomalies):
            self._take(anomaly)
        told = watch.open_incidents()
        if told and told[0].service not in services:
            told = watch.give_up(now_ms)
        return told

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
        """The incidents after each change that is due; one already over opens and resolves in one go."""
        if not watch.ready(now_ms):
            return
        watch.forget(now_ms)
        since_ms = watch.sample_ms - round(1000 * self._grouping.unanswered_after_s)
        watch.anomalies = {id_: sunk(a, self._recent, since_ms) for id_, a in watch.anomalies.items()}
        of_outage, rest = watch.part(self._grouping)
        if watch.outage is not None:
            watch.outage, told = self._followed(watch, watch.outage, of_outage, now_ms)
            yield from told
        watch.incident, told = self._followed(watch, watch.incident, rest, now_ms)
        yield from told

    def _followed(
        self, watch: Watch, incident: Incident | None, known: Iterable[Anomaly], now_ms: int
    ) -> tuple[Incident | None, list[Incident]]:
        """The incident as it is now, and each step on the way that others should hear of. A plainer diagnosis is kept."""
        told: list[Incident] = []
        while (after := self._after(watch, incident, known, now_ms)) is not None:
            before, incident = incident, after
            if before is not None and not _differs(before, after):
                break
            told.append(after)
        return incident, told

    def _after(self, watch: Watch, before: Incident | None, known: Iterable[Anomaly], now_ms: int) -> Incident | None:
        """The incident one step on."""
        change = next_change(before, known, watch.time_ms(), self._grouping)
        if change is None and before is not None and before.state == "open":
            change = Change("update", before.start_ms, None, before.anomalies)
        return None if change is None else self._changed(watch, before, change, now_ms)

    def _changed(self, watch: Watch, before: Incident | None, change: Change, now_ms: int) -> Incident:
        service = change.anomalies[0].service
        span_ms = (change.start_ms, watch.time_ms())
        view = view_of(self._recent, service, span_ms, change.anomalies, watch.marks.values())
        causes = diagnose(replace(view, down=self._down.get(service, ())))
        if change.step == "open" or before is None:
            after = opened(service, change, causes, now_ms)
        else:
            after = moved(before, change, watch.settle(before, causes), now_ms)
        objective = self._objectives.get(service)
        felt = [a for a in after.anomalies if opens_incident(a, watch.time_ms(), self._grouping)]
        after = described(after, felt, watch.marks.values(), self._recent, objective)
        after = looked_back(after, felt, view, self._recent, self._shifts)
        return silenced(after, silence_of(after, watch.silences.values(), now_ms), now_ms)


def _differs(before: Incident, after: Incident) -> bool:
    """Whether people or machines should hear of it; fresher figures alone are not worth a message."""

    def told(incident: Incident) -> tuple[object, ...]:
        marks = frozenset(m.id for m in incident.marks)
        return incident.id, incident.history, incident.severity, incident.anomalies, marks, len(incident.shifts)

    return told(before) != told(after)
