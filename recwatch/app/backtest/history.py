"""The past of one service, as it is in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from collectors.config import seconds
from detectors.backtest import Marked
from recwatch.core.canonical import DERIVED
from recwatch.core.errors import BadInput
from recwatch.core.events import Incident, Mark
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.store.database import Store
from recwatch.core.wording import clean

TICKS_AT_ONCE = 3600
LEARNT_MS = 86_400_000
"""How long before what counts the detectors learn from a store, if nothing else is asked for."""
ALL_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at, in unix milliseconds: what begins before `counted_from_ms` is learnt from only. Ends included."""

    start_ms: int
    counted_from_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The span in the words of the command line: a duration before the end of what there is, or a time in UTC."""

    since: str | None = None
    until: str | None = None
    learn: str | None = None

    def of(self, whole: Span) -> Span:
        """What is asked for of a past that ends at `whole.end_ms`; `whole` is what there is where nothing is asked."""
        end_ms = whole.end_ms if self.until is None else _moment(self.until, whole.end_ms)
        counted_from_ms = whole.counted_from_ms if self.since is None else _moment(self.since, whole.end_ms)
        start_ms = whole.start_ms
        if self.learn is not None:
            start_ms = counted_from_ms - round(1000 * (seconds(self.learn) or 0.0))
        if counted_from_ms > end_ms:
            raise BadInput("nothing lies between --since and --until; let --until be the later one")
        return Span(min(start_ms, counted_from_ms), counted_from_ms, end_ms)


@dataclass(frozen=True, slots=True)
class History:
    """The past of one service, and what is known to have been the matter in it.

    `batches` begins anew with each call: readings in time order, no time in two batches; `step_s` is the usual time between
    two readings of a series.
    """

    known: SeriesSet
    step_s: float
    span: Span
    marked: tuple[Marked, ...]
    marks: tuple[Mark, ...]
    batches: Callable[[], Iterable[Samples]]


def stored(store: Store, service: str, interval_s: float, asked: Asked, now_ms: int) -> History:
    """What a store holds of a service. What was the matter is told by the incidents that were opened.

    Raises BadInput where it holds no signal of it.
    """
    known = tuple(one for one in store.series(service) if one.canonical and one.name not in DERIVED)
    oldest_ms = store.oldest_ms(service)
    if not known or oldest_ms is None:
        raise BadInput(f"the store holds no signals of {service}; let recwatch watch it, or fill in its past, first")
    span = asked.of(Span(oldest_ms, oldest_ms, now_ms))
    if asked.learn is None:
        span = Span(max(oldest_ms, span.counted_from_ms - LEARNT_MS), span.counted_from_ms, span.end_ms)
    ids = [one.id for one in known]
    stretch_ms = round(1000 * interval_s) * TICKS_AT_ONCE

    def batches() -> Iterator[Samples]:
        for start_ms in range(span.start_ms, span.end_ms + 1, stretch_ms):
            yield store.samples(service, ids, start_ms, min(start_ms + stretch_ms - 1, span.end_ms))

    incidents = store.events(Incident, service, since_ms=span.start_ms, limit=ALL_EVENTS)
    marked = [_marked(incident, span.end_ms) for incident in incidents if incident.start_ms <= span.end_ms]
    marks = store.events(Mark, service, since_ms=span.start_ms, limit=ALL_EVENTS)
    return History(SeriesSet(service, known), interval_s, span, tuple(marked[::-1]), tuple(marks[::-1]), batches)


def _marked(incident: Incident, end_ms: int) -> Marked:
    """An incident from its first evidence on, for that is when a detector could know."""
    start_ms = min([incident.start_ms, *(anomaly.start_ms for anomaly in incident.anomalies)])
    series = frozenset(int(anomaly.series_id) for anomaly in incident.anomalies)
    return Marked(start_ms, end_ms if incident.end_ms is None else incident.end_ms, clean(incident.title), series)


def _moment(text: str, end_ms: int) -> int:
    """A duration before the end, or a date and time, in UTC where it names no zone.

    >>> _moment("1h", 7_200_000), _moment("1970-01-01 00:30", 7_200_000)
    (3600000, 1800000)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return end_ms - round(1000 * (seconds(text) or 0.0))
        except BadInput as error:
            raise BadInput(f"'{text}' is neither a duration, such as 7d, nor a time, such as 2026-03-01T12:00") from error
    return round(1000 * (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
