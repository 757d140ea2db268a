"""A remote-write request, version 1.0 of the protocol → rows, and the labels that they belong to.

The messages are Prometheus's `WriteRequest` and what it holds (prompb/remote.proto, prompb/types.proto). Some are declared
as bytes here, which is the same on the wire: the labels of a series repeat from request to request and are decoded once, and
a million empty messages take no more memory than a million empty texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from recwatch.core.errors import BadInput
from recwatch.core.signals import Float64, Int64, Kind

REQUEST_BYTES = 8 * 2**20
"""Of an unpacked request. Prometheus sends 500 to 2,000 samples at once, some hundred kilobytes."""
REQUEST_ITEMS = 100_000
"""Of the series, the samples, and the descriptions of metrics in a request, each."""
SERIES_BYTES = 2**18
SERIES_LABELS = 128
NAME = "__name__"

EncodedLabels = tuple[bytes, ...]
"""The labels of a series, each as it was on the wire; the same for every request of one sender."""

_STALE_BITS = 0x7FF0000000000002
_VARINT_BYTES = 5
# prometheus.MetricMetadata.MetricType: unknown, counter, gauge, histogram, gauge histogram, summary, info, state set
_KINDS: tuple[Kind, ...] = ("untyped", "counter", "gauge", "histogram", "gauge", "summary", "gauge", "gauge")


def _messages() -> Mapping[str, Any]:
    """The classes of the messages, by name."""
    types = {"text": FieldDescriptorProto.TYPE_STRING, "bytes": FieldDescriptorProto.TYPE_BYTES}
    types |= {"float64": FieldDescriptorProto.TYPE_DOUBLE, "int64": FieldDescriptorProto.TYPE_INT64}
    fields = {
        "WriteRequest": {"timeseries": (1, "bytes", "many"), "metadata": (3, "bytes", "many")},
        "TimeSeries": {
            "labels": (1, "bytes", "many"),
            "samples": (2, "Sample", "many"),
            "exemplars": (3, "bytes", "many"),
            "histograms": (4, "bytes", "many"),
        },
        "Label": {"name": (1, "text", "one"), "value": (2, "text", "one")},
        "Sample": {"value": (1, "float64", "one"), "timestamp": (2, "int64", "one")},
        "MetricMetadata": {"type": (1, "int64", "one"), "metric_family_name": (2, "text", "one")},
    }
    file = FileDescriptorProto(name="remote_write.proto", package="remote_write", syntax="proto3")
    for message, content in fields.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, many) in content.items():
            field = described.field.add(name=name, number=number, type=types.get(kind, FieldDescriptorProto.TYPE_MESSAGE))
            field.label = FieldDescriptorProto.LABEL_REPEATED if many == "many" else FieldDescriptorProto.LABEL_OPTIONAL
            if kind in fields:
                field.type_name = f".remote_write.{kind}"
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"remote_write.{name}")) for name in fields}


_MESSAGES = _messages()


@dataclass(frozen=True, slots=True, eq=False)
class WriteRequest:
    """n readings: `series[index[i]]` has the value `value[i]`, finite, at `time_ms[i]`. Rows of a series keep their order.

    `ended` holds the indexes of the series that end in a stale marker: they, or their target, are gone. `kinds` is what the
    request says of the types of metric families. What is not in it is counted in `dropped`, by reason.
    """

    series: tuple[EncodedLabels, ...]
    index: Int64
    time_ms: Int64
    value: Float64
    ended: frozenset[int]
    kinds: Mapping[str, Kind]
    dropped: Mapping[str, int]


def decode(body: bytes) -> WriteRequest:
    """Read the body of a request. Raises BadInput for whatever is not one, or is larger than any sender makes it."""
    request = _message("WriteRequest", unpacked(body))
    _few("series", len(request.timeseries))
    _few("descriptions of metrics", len(request.metadata))
    series: list[EncodedLabels] = []
    index: list[int] = []
    times: list[int] = []
    values: list[float] = []
    unread = {"exemplars": 0, "histograms": 0}
    for number, encoded in enumerate(request.timeseries):
        if len(encoded) > SERIES_BYTES:
            raise BadInput(f"a series of the request takes {len(encoded)} bytes; send at most {SERIES_BYTES} of each")
        one = _message("TimeSeries", encoded)
        _few("samples", len(values) + len(one.samples))
        series.append(tuple(one.labels))
        for sample in one.samples:
            index.append(number)
            times.append(sample.timestamp)
            values.append(sample.value)
        for kind in unread:
            unread[kind] += len(getattr(one, kind))
    # Targets may differ about a family, and come in any order. The last counts: "untyped" only if there is no other.
    kinds = dict(sorted((_kind(encoded) for encoded in request.metadata), reverse=True))
    return _request(
        series, np.array(index, np.int64), np.array(times, np.int64), np.array(values, np.float64), kinds, unread
    )


def _request(  # noqa: PLR0913, PLR0917  (the columns of a request)
    series: list[EncodedLabels],
    index: Int64,
    time_ms: Int64,
    value: Float64,
    kinds: Mapping[str, Kind],
    unread: Mapping[str, int],
) -> WriteRequest:
    """The readings without those that are none."""
    finite = np.isfinite(value)
    stale = value.view(np.int64) == _STALE_BITS
    last = np.append(index[1:] != index[:-1], True)[: len(index)]
    dropped = {"stale": int(stale.sum()), "not_finite": int((~finite & ~stale).sum()), **unread}
    return WriteRequest(
        tuple(series),
        index[finite],
        time_ms[finite],
        value[finite],
        frozenset(index[stale & last].tolist()),
        kinds,
        dropped,
    )


def unpacked(body: bytes) -> bytes:
    """The body without its Snappy block compression. A body that says that it is too large is not unpacked at all."""
    size = _unpacked_bytes(body)
    if size > REQUEST_BYTES:
        raise BadInput(f"the request is {size} bytes long when unpacked; send at most {REQUEST_BYTES} at once")
    try:
        data: bytes = pa.Codec("snappy").decompress(body, decompressed_size=size, asbytes=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput("the body is not Snappy-compressed data; compress it in Snappy's block format") from error
    return data


def _unpacked_bytes(body: bytes) -> int:
    """What the body says of its length when unpacked: a little-endian base-128 number ahead of the data."""
    size = 0
    for place, byte in enumerate(body[:_VARINT_BYTES]):
        size |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return size
    raise BadInput("the body is not Snappy-compressed data: it does not begin with its length")


def labels_of(encoded: EncodedLabels) -> dict[str, str]:
    """The labels of a series, `__name__` among them; one with an empty value is one that the series does not have.

    Raises BadInput where they cannot be those of a series.
    """
    if len(encoded) > SERIES_LABELS:
        raise BadInput(f"a series of the request has {len(encoded)} labels; send at most {SERIES_LABELS} of each")
    pairs = [(label.name, label.value) for label in (_message("Label", one) for one in encoded)]
    labels = dict(pairs)
    if len(labels) < len(pairs):
        raise BadInput(f"a series of the request has a label twice: {[name for name, _ in pairs]}")
    if not labels.get(NAME):
        raise BadInput(f"a series of the request has no name: {_shown(labels)}")
    if "" in labels:
        raise BadInput(f"a series of the request has a label without a name: {_shown(labels)}")
    return {name: value for name, value in labels.items() if value}


def _few(what: str, count: int) -> None:
    if count > REQUEST_ITEMS:
        raise BadInput(f"the request holds {count} {what} or more; send at most {REQUEST_ITEMS} at once")


def _kind(encoded: bytes) -> tuple[str, Kind]:
    """A metric family and its type; one that a newer sender may know is no type here."""
    metadata = _message("MetricMetadata", encoded)
    known = 0 <= metadata.type < len(_KINDS)
    return metadata.metric_family_name, _KINDS[metadata.type] if known else "untyped"


def _message(name: str, encoded: bytes) -> Any:
    try:
        return _MESSAGES[name].FromString(encoded)
    except DecodeError as error:
        raise BadInput(f"the body holds no prometheus.WriteRequest: a {name} in it is malformed") from error


def _shown(what: object) -> str:
    return repr(what)[:120]
