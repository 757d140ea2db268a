"""What the API reads: the live tail where it reaches, joined with the store where it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from alerting.explain import explain, series_named
from recwatch.app.comparisons import MARKS_MS, compared
from recwatch.app.level_changes import level_changes
from recwatch.app.live import LiveView
from recwatch.app.measured import unmeasured
from recwatch.client import Bands, Columns, Explained, ServiceState, ServiceStatus, SignalStatus, TargetStatus
from recwatch.core.bus import Bus
from recwatch.core.canonical import SIGNALS, TRAFFIC, derived_series
from recwatch.core.clock import Clock
from recwatch.core.event_json import E, started_ms
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.objective import Objective
from recwatch.core.progress import OWN
from recwatch.core.proposals import Hold
from recwatch.core.recent import stale_after_ms, usual_interval_ms
from recwatch.core.signals import Float64, Int64, Series
from recwatch.core.store.database import step_ms_of
from recwatch.core.wording import utc

Rows = tuple[Int64, Float64]
UNTOLD_MS = 30_000
"""After which nothing is known any more of targets that nobody tells of."""
TELLING = {*TRAFFIC, *(name for name, signal in SIGNALS.items() if signal.user_facing)}


class History(Protocol):
    """The reading half of the store."""

    def read(self, series_ids: Sequence[int], start_ms: int, end_ms: int, step_s: int | None = None) -> dict[int, Rows]: ...

    def series(self, service: str | None = None) -> list[Series]: ...

    def one_series(self, series_id: int) -> Series | None: ...

    def events(
        self,
        kind: type[E],
        service: str | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
        *,
        open_only: bool = False,
    ) -> list[E]: ...

    def event(self, kind: type[E], event_id: str) -> E | None: ...

    def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ApiView:
    """All that the API knows of the `watched` services and of recwatch. It changes state only by publishing on `bus`.

    `behind_ms` says how long after its time a sample of a service may come, where that is not at once.
    """

    bus: Bus
    store: History
    live: LiveView
    clock: Clock
    watched: Collection[str]
    objectives: Mapping[str, Objective]
    behind_ms: Mapping[str, int] = field(default_factory=dict)

    def services(self) -> tuple[ServiceStatus, ...]:
        """Every service by name; recwatch itself only while it has an incident."""
        own = [OWN] if self._open_incidents(OWN) else []
        return tuple(self._service(name) for name in sorted({*self.watched, *own}))

    def knows(self, service: str) -> bool:
        return service in self.watched or service == OWN

    def targets(self) -> tuple[TargetStatus, ...]:
        """How every target answered its last scrape, by recwatch or by its Prometheus."""
        return tuple(target for service in self.watched for target in self._targets(service))

    def stale_after_ms(self, service: str) -> int:
        """How old the newest sample of a service may be while all is well."""
        return self._stale_after_ms(service, self.live.recent.interval_ms(service))

    def _stale_after_ms(self, service: str, interval_ms: float) -> int:
        return round(stale_after_ms(interval_ms)) + self.behind_ms.get(service, 0)

    def holds(self) -> tuple[Hold, ...]:
        """Why nothing is being tuned."""
        found = (self.live.hold(service) for service in self.watched)
        return tuple(hold for hold in found if hold is not None)

    def explain(self, service: str | None, series: str) -> Explained:
        """Why a series did or did not alarm, when its level last changed, and how latency compares at equal load.

        The last needs the store; the rest is told without.
        """
        recent = self.live.recent
        named = series_named(series, recent, service)
        events = (self.live.events(Anomaly), self.live.events(Incident), self.live.events(Silence))
        found = explain(named, recent, events, self.clock.now_ms())
        changes = level_changes(named, recent)
        changed_ms = changes[-1].time_ms if changes else None

        def marks() -> Sequence[Mark]:
            self.store.check()
            return self.events(Mark, named.service, self.clock.now_ms() - MARKS_MS)

        comparisons = compared(named, recent, changed_ms, marks, self.rows)
        sentences = (*found.sentences, *(change.said for change in changes), *comparisons)
        return Explained(found.series, found.verdict, sentences)

    def _targets(self, service: str) -> Iterator[TargetStatus]:
        told = self.live.targets(service)
        if told is None:
            return
        known = self.clock.now_ms() - told.time_ms < UNTOLD_MS
        untold = f"no collector has told of it since {utc(told.time_ms)}"
        for target in told.targets:
            up, error = (target.up, target.error) if known else (None, untold)
            yield TargetStatus(service, target.url, target.kind, up, target.last_scrape_ms, error)

    def _open_incidents(self, service: str) -> list[Incident]:
        return [i for i in self.live.events(Incident) if i.service == service and i.state == "open"]

    def _service(self, name: str) -> ServiceStatus:
        incidents, mine = self._open_incidents(name), tuple(self._targets(name))
        lacking = unmeasured(self.live.recent, name, self.objectives.get(name))
        return ServiceStatus(
            name=name,
            state="incident" if incidents else self._quiet_state(name, mine, lacking),
            targets=mine,
            signals=len(self._canonical(name)),
            open_incidents=len(incidents),
            last_ms=self.live.recent.last_ms(name),
            traffic_ms=max(self.live.recent.traffic_ms(name).tolist(), default=None),
            stale_after_ms=self.stale_after_ms(name),
            objective=self.objectives.get(name),
            unmeasured=lacking,
        )

    def _quiet_state(self, name: str, targets: Sequence[TargetStatus], lacking: Collection[str]) -> ServiceState:
        """How a service is of which no incident is open; `lacking` are signals of its objective that are not measured."""
        recent = self.live.recent
        traffic_ms = recent.traffic_ms(name)
        if len(traffic_ms):
            silent = self.clock.now_ms() - traffic_ms[-1] > self._stale_after_ms(name, usual_interval_ms(traffic_ms))
        else:
            silent = recent.of(name, TRAFFIC[0]) is not None or (bool(targets) and all(t.up is False for t in targets))
        if silent:
            return "stale"
        if lacking:
            return "unmeasured"
        judged = any(recent.last(s.id) for s in recent.series(name, "recwatch_score"))
        known = [recent.last(s.id) for s in recent.series(name, "recwatch_warmup_ratio") if s.labels["signal"] in TELLING]
        return "healthy" if judged and all(done[1] >= 1.0 for done in known if done) else "warming_up"

    def signals(self, service: str) -> tuple[SignalStatus, ...]:
        """The canonical signals of a service, in the order of `recwatch.core.canonical`."""
        order = {name: place for place, name in enumerate(SIGNALS)}
        found = sorted(self._canonical(service), key=lambda s: (order[s.name], s.key))
        return tuple(self._signal(series) for series in found)

    def _canonical(self, service: str) -> list[Series]:
        return [s for s in self.live.recent.series(service) if s.canonical and s.name in SIGNALS]

    def _signal(self, series: Series) -> SignalStatus:
        signal = SIGNALS[series.name]
        last = self.live.recent.last(series.id)
        scores = [self.live.recent.last(s.id) for s in self._scores(series)]
        return SignalStatus(
            series_id=str(series.id),
            key=series.key,
            name=series.name,
            labels=dict(series.labels),
            unit=series.unit,
            help=signal.help,
            user_facing=signal.user_facing,
            last_value=last[1] if last else None,
            last_ms=last[0] if last else None,
            score=max((score[1] for score in scores if score), default=None),
        )

    def _scores(self, of: Series) -> list[Series]:
        """The score series of `of`, one per method."""
        wanted = {**of.labels, "signal": of.name}.items()
        return [s for s in self.live.recent.series(of.service, "recwatch_score") if wanted <= s.labels.items()]

    def rows(self, series_ids: Sequence[int], start_ms: int, end_ms: int, step_s: int | None = None) -> dict[int, Rows]:
        """Readings per series, both ends included; means over `step_s`, stamped with the step's start, where given.

        As in the store, steps of a minute and more are rounded up to whole minutes.
        """
        tail = {i: _stepped(self.live.recent.rows(i, start_ms, end_ms), step_s) for i in series_ids}
        reaches = start_ms >= self.clock.now_ms() - self.live.span_ms
        asked = [i for i in series_ids if not (reaches and self.live.keeps(i))]
        stored = self.store.read(asked, start_ms, end_ms, step_s) if asked else {}
        return tail | {i: _joined(rows, tail[i]) for i, rows in stored.items()}

    def samples(self, series_ids: Sequence[int], start_ms: int, end_ms: int, step_s: int | None) -> dict[str, Columns]:
        found = self.rows(series_ids, start_ms, end_ms, step_s)
        return {str(i): Columns(times.tolist(), values.tolist()) for i, (times, values) in found.items()}

    def bands(self, of: Series, start_ms: int, end_ms: int) -> Bands:
        """A series beside its judgements; the score is the highest that any method gives."""
        sides = [derived_series(f"recwatch_{side}", of).id for side in ("expected", "lower", "upper")]
        scores = [s.id for s in self._scores(of)]
        known = [i for i in sides if self.live.recent.by_id(i)]
        found = self.rows([of.id, *known, *scores], start_ms, end_ms)
        times, values = (column.tolist() for column in found[of.id])
        expected, lower, upper = (_aligned(times, found.get(i)) for i in sides)
        by_method = zip(*(_aligned(times, found[i]) for i in scores), strict=True)
        score = [max((s for s in row if s is not None), default=None) for row in by_method] or [None] * len(times)
        return Bands(times, values, expected, lower, upper, score)

    def series(self, series_id: int) -> Series | None:
        return self.live.recent.by_id(series_id) or self.store.one_series(series_id)

    def events(self, kind: type[E], service: str | None = None, since_ms: int | None = None) -> list[E]:
        """Newest first. Without `since_ms` those in memory; with it, the store's too. The live version of an id wins."""
        stored = [] if since_ms is None else self.store.events(kind, service, since_ms)
        latest = {e.id: e for e in stored} | {e.id: e for e in self.live.events(kind)}
        kept = (e for e in latest.values() if service in (None, e.service) and started_ms(e) >= (since_ms or 0))
        return sorted(kept, key=started_ms, reverse=True)

    def event(self, kind: type[E], event_id: str) -> E | None:
        return self.live.event(kind, event_id) or self.store.event(kind, event_id)


def _aligned(times: Sequence[int], rows: Rows | None) -> list[float | None]:
    at = dict(zip(rows[0].tolist(), rows[1].tolist(), strict=True)) if rows else {}
    return [at.get(time) for time in times]


def _joined(stored: Rows, tail: Rows) -> Rows:
    """The stored rows up to where the tail begins, and from there the tail, which may begin with a part of a step."""
    if not len(tail[0]):
        return stored
    old = stored[0] <= tail[0][0]
    new = tail[0] > stored[0][old].max(initial=-1)
    return np.concatenate([stored[0][old], tail[0][new]]), np.concatenate([stored[1][old], tail[1][new]])


def _stepped(rows: Rows, step_s: int | None) -> Rows:
    """Means over steps of unix time."""
    if step_s is None or not len(rows[0]):
        return rows
    step_ms = step_ms_of(step_s)
    steps, which, counts = np.unique(rows[0] // step_ms, return_inverse=True, return_counts=True)
    return steps * step_ms, np.bincount(which, weights=rows[1]) / counts
