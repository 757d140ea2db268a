"""The words as rows of the store's tables, and back.

Columns are made from buffers, because `pyarrow.array` imports pandas where it is installed, and that takes 55 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence, Sized
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recwatch.core.bus import Position
from recwatch.core.event_json import E, Event, started_ms, to_json, version_of
from recwatch.core.signals import Samples, Series
from recwatch.core.stage import Snapshot

TIME = pa.timestamp("ms", tz="UTC")


def series_rows(series: Sequence[Series]) -> pa.Table:
    """Rows of the table `series`."""
    labels = [label for s in series for label in s.labels.items()]
    return pa.table(
        {
            "id": _numbers(pa.uint64(), np.array([s.id for s in series], np.uint64)),
            "name": _texts(s.name for s in series),
            "labels": pa.MapArray.from_arrays(
                _numbers(pa.int32(), _ends(s.labels for s in series)),
                _texts(name for name, _ in labels),
                _texts(value for _, value in labels),
            ),
            "unit": _texts(s.unit for s in series),
            "kind": _texts(s.kind for s in series),
            "service": _texts(s.service for s in series),
            "target": _texts(s.target for s in series),
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
    return pa.table(
        {
            "series_id": _numbers(pa.uint64(), np.concatenate([batch.series_id for batch in batches], dtype=np.uint64)),
            "time": _numbers(TIME, np.concatenate([batch.time_ms for batch in batches], dtype=np.int64)),
            "value": _numbers(pa.float64(), np.concatenate([batch.value for batch in batches], dtype=np.float64)),
        }
    )


def event_rows(events: Sequence[Event]) -> pa.Table:
    """Rows of the table `events`."""
    return pa.table(
        {
            "kind": _texts(kind_name(type(e)) for e in events),
            "id": _texts(e.id for e in events),
            "service": _texts(e.service for e in events),
            "version": _numbers(pa.uint64(), np.array([version_of(e) for e in events], np.uint64)),
            "time_ms": _numbers(pa.int64(), np.array([started_ms(e) for e in events], np.int64)),
            "json": _texts(to_json(e) for e in events),
        }
    )


def snapshot_row(name: str, snapshot: Snapshot) -> pa.Table:
    """The row of the table `memories`."""
    offsets = {f"{topic}/{number}": offset for (topic, number), offset in snapshot.offsets.items()}
    return pa.table(
        {
            "name": _texts([name]),
            "generation": _numbers(pa.uint64(), np.array([snapshot.generation], np.uint64)),
            "time": _numbers(TIME, np.array([snapshot.time_ms], np.int64)),
            "offsets": _texts([json.dumps(offsets)]),
            "blob": _bytes([snapshot.blob]),
        }
    )


def snapshot_of(row: pa.Table) -> Snapshot:
    """The snapshot that `snapshot_row` made a row of, with its time as `at_ms`."""
    blob, at_ms, generation, offsets = (row[name][0].as_py() for name in ("blob", "at_ms", "generation", "offsets"))
    places = {place.partition("/")[::2]: offset for place, offset in json.loads(offsets).items()}
    return Snapshot(blob, at_ms, generation, {Position(topic, int(n)): offset for (topic, n), offset in places.items()})


def kind_name(kind: type[E]) -> str:
    """The name of a kind of event in the store.

    >>> from recwatch.core.events import Incident
    >>> kind_name(Incident)
    'incident'
    """
    return kind.__name__.lower()


def _numbers(kind: pa.DataType, numbers: npt.NDArray[Any]) -> pa.Array:
    """A column over the memory of `numbers`, whose items have the layout of `kind`."""
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _texts(texts: Iterable[str]) -> pa.Array:
    return _bytes([text.encode() for text in texts])


def _bytes(blobs: Sequence[bytes]) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(), len(blobs), [None, pa.py_buffer(_ends(blobs)), pa.py_buffer(b"".join(blobs))])


def _ends(items: Iterable[Sized]) -> npt.NDArray[np.int32]:
    """Where each item ends when all stand in a row, after the 0 where the first begins."""
    return np.array([*accumulate(map(len, items), initial=0)], np.int32)
