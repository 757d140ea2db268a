"""The newest of everything, in memory: what the API answers from without asking the database."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from recwatch.core.bus import Outgoing, Record
from recwatch.core.event_json import E, Event, goes_on, version_of
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.proposals import Hold, Proposal
from recwatch.core.recent import Recent, absorb
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.targets import TargetSet

SPAN_S = 900.0
EVENTS_KEPT = 1000

KINDS: tuple[type[Event], ...] = (Anomaly, Incident, Mark, Proposal, Silence)


class LiveView:
    """A stage that only listens: one thread feeds it, any number read.

    It keeps the last `SPAN_S` seconds of the canonical signals and of every judgement (a target's own series are in the
    store), the latest version of 1000 events of each kind, the first of those that are over giving way, and how targets and
    tuning are now.
    """

    name = "live"
    topics = (
        "series",
        "samples",
        "derived_series",
        "judgements",
        "anomalies",
        "incidents",
        "proposals",
        "silences",
        "marks",
        "targets",
        "holds",
    )

    def __init__(self) -> None:
        self.span_ms = round(1000 * SPAN_S)
        self.recent = Recent(SPAN_S)
        self._events: dict[type[Any], OrderedDict[str, Event]] = {kind: OrderedDict() for kind in KINDS}
        self._targets: dict[str, TargetSet] = {}
        self._holds: dict[str, Hold] = {}
        self._lock = Lock()

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        """Take in what was polled; says nothing."""
        del now_ms
        for record in records:
            if record.topic == "samples" and record.message.target:
                continue
            self.take(record.message)
        return ()

    def take(self, message: Event | Samples | SeriesSet | TargetSet | Hold) -> None:
        """Take in one message, from the bus or, at the start, from the store."""
        match message:
            case Samples() | SeriesSet():
                absorb(self.recent, (message,))
            case TargetSet():
                self._targets[message.service] = message
            case Hold():
                self._holds[message.service] = message
            case _ if type(message) in self._events:
                self._keep(message)

    def targets(self, service: str) -> TargetSet | None:
        """How the targets of a service were when a collector last told."""
        return self._targets.get(service)

    def hold(self, service: str) -> Hold | None:
        """Why nothing is being tuned of a service, if something holds it."""
        hold = self._holds.get(service)
        return hold if hold is not None and hold.reason else None

    def keeps(self, series_id: int) -> bool:
        """Whether the readings of this series come here: those of services do, those of single targets do not."""
        return self.recent.by_id(series_id) is not None

    def events(self, kind: type[E]) -> list[E]:
        """The latest version of each event of this kind, in the order in which they were first seen."""
        with self._lock:
            return [event for event in self._events[kind].values() if isinstance(event, kind)]

    def event(self, kind: type[E], event_id: str) -> E | None:
        """The latest version of one event."""
        with self._lock:
            event = self._events[kind].get(event_id)
        return event if isinstance(event, kind) else None

    def _keep(self, event: Event) -> None:
        with self._lock:
            kept = self._events[type(event)]
            known = kept.get(event.id)
            if known is None or version_of(event) >= version_of(known):
                kept[event.id] = event
            if len(kept) > EVENTS_KEPT:
                del kept[next((id_ for id_, one in kept.items() if not goes_on(one)), next(iter(kept)))]
