"""Messages as bytes, for a bus that leaves this process: Samples as Arrow IPC, every other word as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from recwatch.core.errors import BadInput
from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.progress import Progress
from recwatch.core.proposals import Decision, Hold, Proposal
from recwatch.core.signals import Samples, SeriesSet
from recwatch.core.targets import TargetSet

WORDS: Mapping[str, type[Any]] = {
    "series": SeriesSet,
    "targets": TargetSet,
    "samples": Samples,
    "derived_series": SeriesSet,
    "judgements": Samples,
    "anomalies": Anomaly,
    "incidents": Incident,
    "proposals": Proposal,
    "decisions": Decision,
    "silences": Silence,
    "marks": Mark,
    "holds": Hold,
    "progress": Progress,
}
"""What each topic carries."""
COMPRESSION = "lz4"
"""zstd is 2 to 7 % smaller, and takes 1.5 times the time to write and to read (`python -m benchmarks bus`)."""
_COLUMNS: Mapping[str, tuple[pa.DataType, type[np.number[Any]]]] = {
    "time_ms": (pa.int64(), np.int64),
    "series_id": (pa.uint64(), np.uint64),
    "value": (pa.float64(), np.float64),
}
_SCHEMA = pa.schema([(name, kind) for name, (kind, _) in _COLUMNS.items()])
# A message is too small for its columns to be worth threads: with them it takes 2 to 3 times the CPU time.
_READING = pa.ipc.IpcReadOptions(use_threads=False)


def encode(topic: str, message: Any, compression: str | None = COMPRESSION) -> bytes:
    """The message as bytes; `decode` gives an equal one back. Raises BadInput if the topic carries another word."""
    word = WORDS[topic]
    if type(message) is not word:
        raise BadInput(f"{topic} carries {word.__name__}, and this is a {type(message).__name__}; see WORDS in {__name__}")
    if word is Samples:
        return _samples_bytes(message, compression)
    # Whoever reads a page keeps its labels in mappings of its own.
    return _adapter(topic).dump_json(message, fallback=dict, warnings="none")


def decode(topic: str, data: bytes | None) -> Any:
    """The message that `encode` made bytes of. Raises BadInput, saying what is wrong, if it did not."""
    word = WORDS[topic]
    if not data:
        raise BadInput(f"no {word.__name__}: the message is empty")
    if word is Samples:
        return _samples_of(data)
    try:
        return _adapter(topic).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"no {word.__name__}: {first['msg']}{f' at {where}' if where else ''}") from error


@cache
def _adapter(topic: str) -> TypeAdapter[Any]:
    return TypeAdapter(WORDS[topic])


def _samples_bytes(samples: Samples, compression: str | None) -> bytes:
    schema = _SCHEMA.with_metadata({"service": samples.service, "target": samples.target})
    columns = [_column(kind, getattr(samples, name).astype(dtype)) for name, (kind, dtype) in _COLUMNS.items()]
    batch = pa.RecordBatch.from_arrays(columns, schema=schema)
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        out, schema, options=pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    ) as stream:
        stream.write_batch(batch)
    return bytes(out.getvalue())


def _column(kind: pa.DataType, numbers: npt.NDArray[Any]) -> pa.Array:
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def _samples_of(data: bytes) -> Samples:
    try:
        with pa.ipc.open_stream(data, options=_READING) as stream:
            schema, batch = stream.schema, stream.read_next_batch()
        batch.validate(full=True)
        metadata = {name.decode(): text.decode() for name, text in (schema.metadata or {}).items()}
    except (pa.ArrowException, OSError, StopIteration, UnicodeDecodeError) as error:
        raise BadInput(f"no Samples: not an Arrow stream of one batch ({error})") from error
    if not schema.equals(_SCHEMA) or not metadata.keys() >= {"service", "target"}:
        raise BadInput("no Samples: the columns are not time_ms, series_id and value, with service and target beside them")
    time_ms, series_id, value = (_numbers(batch.column(name), dtype) for name, (_, dtype) in _COLUMNS.items())
    if not np.isfinite(value).all():
        raise BadInput("no Samples: some values are not finite")
    return Samples(metadata["service"], metadata["target"], time_ms, series_id, value)


def _numbers(column: pa.Array, dtype: type[np.number[Any]]) -> npt.NDArray[Any]:
    """The memory of a column; pyarrow's own `to_numpy` imports pandas."""
    if column.null_count:
        raise BadInput("no Samples: some rows have empty fields")
    if not len(column):
        return np.empty(0, dtype)
    return np.frombuffer(column.buffers()[1], dtype, count=len(column), offset=column.offset * np.dtype(dtype).itemsize)
