"""The words as rows of the store's tables, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from recwatch.core.events import Anomaly, Decision, E, Event, Incident, Mark, Proposal, Silence, to_json
from recwatch.core.signals import Samples, Series

TIME = pa.timestamp("ms", tz="UTC")


def series_rows(series: Sequence[Series]) -> pa.Table:
    """Rows of the table `series`."""
    return pa.table(
        {
            "id": pa.array([s.id for s in series], pa.uint64()),
            "name": [s.name for s in series],
            "labels": pa.array([list(s.labels.items()) for s in series], pa.map_(pa.string(), pa.string())),
            "unit": [s.unit for s in series],
            "kind": [s.kind for s in series],
            "service": [s.service for s in series],
            "target": [s.target for s in series],
        }
    )


def series_of(rows: pa.Table) -> list[Series]:
    """The series that `series_rows` made rows of; strings are read as bytes."""
    return [
        Series(
            row["name"].decode(),
            {name.decode(): value.decode() for name, value in row["labels"]},
            row["unit"].decode(),
            row["kind"].decode(),
            row["service"].decode(),
            row["target"].decode(),
        )
        for row in rows.to_pylist()
    ]


def sample_rows(batches: Sequence[Samples]) -> pa.Table:
    """Rows of the table `samples`, in the order given."""
    time_ms = np.concatenate([batch.time_ms for batch in batches])
    return pa.table(
        {
            "series_id": np.concatenate([batch.series_id for batch in batches]),
            "time": pa.array(time_ms.astype("datetime64[ms]"), TIME),
            "value": np.concatenate([batch.value for batch in batches]),
        }
    )


def event_rows(events: Iterable[Event]) -> pa.Table:
    """Rows of the table `events`; at least one event."""
    rows = [(kind_name(type(e)), e.id, e.service, version_of(e), time_ms_of(e), to_json(e)) for e in events]
    kind, ids, service, version, time_ms, json = zip(*rows, strict=True)
    return pa.table(
        {
            "kind": kind,
            "id": ids,
            "service": service,
            "version": pa.array(version, pa.uint64()),
            "time_ms": pa.array(time_ms, pa.int64()),
            "json": json,
        }
    )


def kind_name(kind: type[E]) -> str:
    """The name of a kind of event in the store.

    >>> kind_name(Incident)
    'incident'
    """
    return kind.__name__.lower()


def version_of(event: Event) -> int:
    """Grows with every step in the life of an event, so that the order of writing does not matter.

    Of equal versions the one written last counts.
    """
    match event:
        case Anomaly():
            return int(event.end_ms is not None)
        case Incident():
            return len(event.history) * 1_000_000 + len(event.anomalies)
        case Proposal():
            return len(event.history)
        case Mark() | Silence() | Decision():
            return 0


def time_ms_of(event: Event) -> int:
    """When the event began."""
    match event:
        case Anomaly() | Incident() | Silence():
            return event.start_ms
        case Proposal():
            return event.created_ms
        case Mark() | Decision():
            return event.time_ms
