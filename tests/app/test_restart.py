"""A start after a crash: whatever was open when recwatch ended is seen to its end, whichever snapshots are left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from alerting.stage import AlertingStage
from detectors.stage import DetectorStage
from recwatch.app.live import LiveView
from recwatch.app.restart import prime, resume
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.event_json import version_of
from recwatch.core.events import Anomaly, Incident
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, SeriesSet
from tests.app.world import Shelf

START_MS = 1_700_000_000_000
RATE, P99 = (canonical_series("shop", name) for name in ("requests_per_second", "latency_p99_seconds"))
KNOWN = SeriesSet("shop", (RATE, P99))
FAULT_S, CRASH_S, BACK_S = 60, 80, 100


def slow(second: int) -> bool:
    return FAULT_S <= second < CRASH_S


@dataclass
class Monitor:
    """Both stages, a live view of what they say, and a history that holds it."""

    shelf: Shelf = field(default_factory=Shelf)
    detection: DetectorStage = field(default_factory=lambda: DetectorStage({"shop": Objective(0.150)}))
    alerting: AlertingStage = field(default_factory=lambda: AlertingStage({"shop": Objective(0.150)}))
    live: LiveView = field(default_factory=LiveView)
    told: list[Incident] = field(default_factory=list)

    def take(self, second: int, *messages: SeriesSet | Samples) -> None:
        records = self._records(messages)
        found = [outgoing.message for outgoing in self.detection.process(records, START_MS + 1000 * second)]
        anomalies = [message for message in found if isinstance(message, Anomaly)]
        told = self.alerting.process([*records, *self._records(anomalies)], START_MS + 1000 * second)
        self.told += [outgoing.message for outgoing in told]
        for event in (*anomalies, *(outgoing.message for outgoing in told)):
            self.shelf.kept = [e for e in self.shelf.kept if e.id != event.id]
            self.shelf.kept.insert(0, event)
            self.live.take(event)

    @staticmethod
    def _records(messages: Sequence[object]) -> list[Record]:
        topics = {SeriesSet: "series", Samples: "samples", Anomaly: "anomalies"}
        return [Record(topics[type(message)], 0, 0, "shop", message) for message in messages]

    def run(self, from_s: int, until_s: int) -> None:
        self.take(from_s, KNOWN)
        for second in range(from_s, until_s):
            p99_s = 0.4 if slow(second) else 0.025 + 0.001 * (second % 3)
            readings = {RATE.id: 110.0 + second % 5, P99.id: p99_s}
            self.take(second, Samples.of("shop", "", START_MS + 1000 * second, readings))

    def snapshots(self) -> dict[str, bytes]:
        return {"detection": self.detection.snapshot(), "alerting": self.alerting.snapshot()}


def restarted(shelf: Shelf, snapshots: Mapping[str, bytes], services: Collection[str] = ("shop",)) -> Monitor:
    monitor = Monitor(shelf)
    if "detection" in snapshots:
        monitor.detection.restore(snapshots["detection"])
    if "alerting" in snapshots:
        monitor.alerting.restore(snapshots["alerting"])
    prime(monitor.live, shelf, services, START_MS + 1000 * BACK_S)
    resume(monitor.detection, monitor.alerting, monitor.live, services, START_MS + 1000 * BACK_S)
    return monitor


@pytest.mark.parametrize("detection_s", [None, FAULT_S - 5, CRASH_S])
@pytest.mark.parametrize("alerting_s", [None, FAULT_S - 5, CRASH_S])
def test_an_incident_that_was_open_resolves_after_the_recovery(detection_s: int | None, alerting_s: int | None) -> None:
    first = Monitor()
    kept: dict[str, bytes] = {}
    for until_s, from_s in ((FAULT_S - 5, 0), (CRASH_S, FAULT_S - 5)):
        first.run(from_s, until_s)
        taken = {"detection": detection_s, "alerting": alerting_s}
        kept |= {name: blob for name, blob in first.snapshots().items() if taken[name] == until_s}
    (opened,) = {i.id for i in first.told}
    last = first.told[-1]

    second = restarted(first.shelf, kept)
    second.run(BACK_S, BACK_S + 100)

    assert {i.id for i in second.told} == {opened}
    assert (second.told[0].state, second.told[-1].state) == ("open", "resolved")
    assert version_of(second.told[-1]) > version_of(last)
    assert [e for e in first.shelf.events(Anomaly) if e.end_ms is None] == []
    ended_ms = second.told[-1].end_ms
    assert ended_ms is not None
    assert START_MS + 1000 * FAULT_S <= ended_ms < START_MS + 1000 * BACK_S


def test_a_service_that_is_not_watched_any_more_has_no_open_incident() -> None:
    first = Monitor()
    first.run(0, CRASH_S)
    first.shelf.known = list(KNOWN.series)
    second = restarted(first.shelf, first.snapshots(), services=("news",))
    second.take(BACK_S)
    second.take(BACK_S + 1)
    (resolved,) = second.told
    assert (resolved.state, resolved.history[-1].why) == ("resolved", "recwatch no longer watches this service")
    assert resolved.id == first.told[0].id
    assert [e for e in first.shelf.events(Anomaly) if e.end_ms is None] == []
    assert [i.state for i in second.live.events(Incident)] == ["resolved"]
    assert [a for a in second.live.events(Anomaly) if a.end_ms is None] == []
    assert second.live.recent.series() == []


def test_what_the_snapshot_of_detection_alone_knows_is_told_again() -> None:
    first = Monitor()
    first.run(0, CRASH_S)
    second = restarted(Shelf(), {"detection": first.detection.snapshot()})
    second.run(BACK_S, BACK_S + 3)
    assert [i.state for i in second.told][:1] == ["open"]
