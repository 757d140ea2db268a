"""recwatch's own lag → an incident of the service `recwatch`: whoever trusts alarms must hear when they come late."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from alerting.incident import BY
from recwatch.core.bus import Outgoing, Record
from recwatch.core.errors import BadInput
from recwatch.core.events import Cause, Evidence, Incident, RankedCause, Transition, event_id
from recwatch.core.progress import OWN, Progress
from recwatch.core.wording import clean, duration, utc

READER = "collectors"
FOLLOWERS = ("detectors", "alerting", "sink")
BEHIND_S = 30.0
INTERVALS = 3
CALM_S = 30.0
HEARS_S = 15.0
"""Progress is told every five seconds: who has been listening for so long has heard of all who work."""
MOST_EVIDENCE = 6
_STATE: TypeAdapter[Incident | None] = TypeAdapter(Incident | None)


@dataclass(frozen=True, slots=True)
class Lag:
    """A stage that is `behind_ms` behind with a service; `until_ms` is how far it has come, if it ever did anything."""

    stage: str
    service: str
    behind_ms: int
    until_ms: int | None

    def evidence(self) -> Evidence:
        since = f"nothing newer than {utc(self.until_ms)}" if self.until_ms else "nothing at all"
        done = "read" if self.stage == READER else "handled"
        return Evidence(f"{self.stage} {done} {since} of {clean(self.service)}", value=self.behind_ms / 1000)


class OwnLag:
    """Compares how far stages have come with how far the collectors have, and these with the clock; one owner runs it.

    A stage is late with a service when it is `BEHIND_S` and three scrape intervals of sample time behind. `intervals_s` are
    those of all services, `scraped` the names of those that collectors must read without being sent anything. There is one
    incident at a time, over once nothing has been late for `CALM_S`. `acts` counts what is told of it.
    """

    name = "own_lag"
    topics = ("progress",)

    def __init__(self, intervals_s: Mapping[str, float], scraped: Collection[str]) -> None:
        self._allowed_ms = {name: round(1000 * (BEHIND_S + INTERVALS * s)) for name, s in intervals_s.items()}
        self._scraped = scraped
        self._until_ms: dict[str, dict[str, int]] = {}
        self._listening_ms: tuple[int, int] | None = None
        self._incident: Incident | None = None
        self._pairs: frozenset[tuple[str, str]] = frozenset()
        self._late_ms = 0
        self.acts = 0

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._take(record.message)
        since_ms = self._listens_since(now_ms)
        if now_ms - since_ms < 1000 * HEARS_S:
            return ()
        late = sorted(self._late(since_ms, now_ms), key=lambda lag: -lag.behind_ms)
        told = self._told(late, now_ms)
        self.acts += told is not None
        return [] if told is None else [Outgoing("incidents", OWN, told)]

    def snapshot(self) -> bytes:
        """The open incident, as JSON."""
        return _STATE.dump_json(self._incident)

    def restore(self, snapshot: bytes) -> None:
        """Go on with the open incident. Raises BadInput for a snapshot that another version wrote."""
        try:
            self._incident = _STATE.validate_json(snapshot)
        except ValidationError as error:
            raise BadInput("the snapshot of recwatch's own lag is of another version; start without it") from error

    def close(self) -> None:
        """There is nothing to let go of."""

    def _take(self, progress: Progress) -> None:
        known = self._until_ms.setdefault(progress.stage, {})
        known.update({service: max(ms, known.get(service, 0)) for service, ms in progress.until_ms.items()})

    def _listens_since(self, now_ms: int) -> int:
        """Since when this has been called without a pause: after one, what it heard last is old."""
        since_ms, last_ms = self._listening_ms or (now_ms, now_ms)
        if not 0 <= now_ms - last_ms < 1000 * HEARS_S:
            since_ms = now_ms
        self._listening_ms = since_ms, now_ms
        return since_ms

    def _late(self, since_ms: int, now_ms: int) -> Iterator[Lag]:
        for service, allowed_ms in self._allowed_ms.items():
            read_ms = self._until_ms.get(READER, {}).get(service)
            goals = {READER: now_ms} if read_ms or service in self._scraped else {}
            goals |= dict.fromkeys(FOLLOWERS, read_ms) if read_ms else {}
            for stage, goal_ms in goals.items():
                until_ms = self._until_ms.get(stage, {}).get(service)
                behind_ms = goal_ms - (until_ms or since_ms)
                if behind_ms > allowed_ms:
                    yield Lag(stage, service, behind_ms, until_ms)

    def _told(self, late: Sequence[Lag], now_ms: int) -> Incident | None:
        """The incident, if it is news: it opens, it is over, or other stages are late or with other services."""
        before, pairs = self._pairs, frozenset((lag.stage, lag.service) for lag in late)
        self._pairs = pairs
        if late:
            self._late_ms = now_ms
            if self._incident is not None and pairs == before:
                return None
            self._incident = _described(self._incident or _opened(late, now_ms), late)
            return self._incident
        if self._incident is None or now_ms - self._late_ms < 1000 * CALM_S:
            return None
        over, self._incident = _resolved(self._incident, now_ms), None
        return over


def _opened(late: Sequence[Lag], now_ms: int) -> Incident:
    start_ms = now_ms - late[0].behind_ms
    step = Transition("open", now_ms, BY, _title(late))
    return Incident(event_id("incident", OWN, now_ms), OWN, "open", "page", start_ms, None, "", (), (), (), (step,))


def _described(incident: Incident, late: Sequence[Lag]) -> Incident:
    causes = (RankedCause(Cause.MONITOR_BEHIND, 1.0, tuple(lag.evidence() for lag in late[:MOST_EVIDENCE])),)
    return replace(incident, title=_title(late), causes=causes)


def _title(late: Sequence[Lag]) -> str:
    worst = late[0]
    more = f", and {len(late) - 1} more" if late[1:] else ""
    return f"recwatch is {duration(worst.behind_ms)} behind on {clean(worst.service)}: {worst.stage}{more}"


def _resolved(incident: Incident, now_ms: int) -> Incident:
    step = Transition("resolved", now_ms, BY, "recwatch has caught up")
    return replace(incident, state="resolved", end_ms=now_ms, history=(*incident.history, step))
