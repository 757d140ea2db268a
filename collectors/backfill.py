"""The past of a service's raw series → the samples that recwatch would have taken, canonical signals among them.

A stretch of history is worked out by itself, whatever was worked out before it: so it gives the same rows every time, and a
backfill that was broken off goes on at the stretch that it was at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from collectors.collector import STALE_INTERVALS
from collectors.fleet import WINDOW_MS
from collectors.intervals import ReceivedService
from collectors.past import Past
from collectors.received import Source, series_id_of
from collectors.remote_write import NAME
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput
from recwatch.core.signals import Int64, Samples, SeriesSet

LONGEST_STEP_MS = WINDOW_MS


@dataclass(frozen=True, slots=True)
class Stretch:
    """From after `start_ms` to `end_ms`, in steps; all are multiples of the step, in unix milliseconds."""

    start_ms: int
    end_ms: int
    step_ms: int

    @property
    def lead_in_ms(self) -> int:
        """How far back to look for what the first signals are made of: a window, and the last counters before it."""
        return (-(-WINDOW_MS // self.step_ms) + STALE_INTERVALS) * self.step_ms

    def times(self, lead_in: bool = False) -> Int64:
        """The ends of the steps, those of the lead-in too if asked for."""
        start_ms = self.start_ms - (self.lead_in_ms if lead_in else 0)
        return np.arange(start_ms, self.end_ms, self.step_ms, dtype=np.int64) + self.step_ms


def stretches(start_ms: int, end_ms: int, step_ms: int, steps: int) -> Iterator[Stretch]:
    """The time from `start_ms` to `end_ms` in stretches of so many steps; the last may be shorter.

    >>> [(one.start_ms, one.end_ms) for one in stretches(0, 50_000, 10_000, steps=2)]
    [(0, 20000), (20000, 40000), (40000, 50000)]
    """
    for begin_ms in range(start_ms, end_ms, step_ms * steps):
        yield Stretch(begin_ms, min(end_ms, begin_ms + step_ms * steps), step_ms)


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What a stretch brought, and the definitions of all its series."""

    series: SeriesSet
    samples: tuple[Samples, ...]


def filled(service: str, past: Past, stretch: Stretch) -> Filled:
    """The raw samples and the canonical signals of a stretch, from the past at `stretch.times(lead_in=True)`."""
    received = ReceivedService(service, (), stretch.step_ms, settles_ms=0)
    places: dict[Source, list[tuple[int, int]]] = defaultdict(list)
    for row, labels in enumerate(past.labels):
        if NAME not in labels:
            raise BadInput(f"the history holds a series without a name: {dict(labels)}; map it to a signal instead")
        source, position = received.add(labels)
        places[source].append((row, position))
    received.describe({})
    rows = {source: np.array(found, dtype=np.int64).T for source, found in places.items()}
    signals = list(_signals(received, past, rows))
    told = [samples for samples in signals if len(samples) and samples.time_ms[0] > stretch.start_ms]
    raw = [_raw(source, past, source_rows[0], stretch) for source, source_rows in rows.items()]
    series = received.describe({}, everything=True)
    return Filled(series or SeriesSet(service, ()), (*raw, *([Samples.concat(told)] if told else ())))


def _signals(received: ReceivedService, past: Past, rows: Mapping[Source, Int64]) -> Iterator[Samples]:
    """The canonical signals of every step."""
    for column, end_ms in enumerate(past.time_ms.tolist()):
        for source, (row, position) in rows.items():
            values = past.value[row, column]
            there = np.isfinite(values)
            if there.any():
                source.take(end_ms, position[there], past.time_ms[column : column + 1], values[there])
        yield received.close(end_ms)[0]


def _raw(source: Source, past: Past, row: Int64, stretch: Stretch) -> Samples:
    """The samples of a target under their own names, without the lead-in."""
    mine = past.time_ms > stretch.start_ms
    values = past.value[row][:, mine]
    there = np.isfinite(values)
    ids = np.array([series_id_of(past.labels[one], source.service) for one in row.tolist()], dtype=np.uint64)
    times = np.broadcast_to(past.time_ms[mine], values.shape)
    whole = np.broadcast_to(ids[:, None], values.shape)
    return Samples(source.service, source.target, times[there], whole[there], values[there])


def filled_signal(service: str, name: str, past: Past, stretch: Stretch) -> Filled:
    """A canonical signal of a stretch from its own past. Raises BadInput where labels tell series apart that it cannot."""
    own = [{k: v for k, v in labels.items() if k not in (NAME, "service")} for labels in past.labels]
    series = [canonical_series(service, name, labels) for labels in own]
    ids = np.array([one.id for one in series], dtype=np.uint64)
    mine = past.time_ms > stretch.start_ms
    values = past.value[:, mine]
    there = np.isfinite(values)
    times, whole = np.broadcast_to(past.time_ms[mine], values.shape), np.broadcast_to(ids[:, None], values.shape)
    return Filled(SeriesSet(service, tuple(series)), (Samples(service, "", times[there], whole[there], values[there]),))
