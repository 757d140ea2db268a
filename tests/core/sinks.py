"""A sink, what it stores and what it commits, as tests meet them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recwatch.core.bus import STORED, Position, Record, Subscription
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store import Store
from recwatch.core.store.sink import Sink
from tests.core.examples import START_MS

DEPTH = canonical_series("shop", "queue_depth")
WATTS = canonical_series("shop", "gpu_power_watts", {"gpu": "0"})
NOW_MS = 5_000_000
SHOP = Position("samples", 0)


class Interrupted(Store):
    """A real store whose samples cannot be written while it is `away`, and which keeps quiet of a success while `silent`."""

    away = False
    silent = False

    def write_samples(self, batches: Sequence[Samples], token: str) -> None:
        if self.away:
            raise Unavailable("store: its disk is full; free some space")
        super().write_samples(batches, token)
        if self.silent:
            raise Unavailable("store: it does not answer")


MakeSink = Callable[..., Sink]


def committed(offsets: Subscription) -> dict[Position, int]:
    """Up to where each partition is done with; nothing of ranges that are only announced."""
    found = {Position(topic, number): offsets.committed(Position(topic, number)) for topic in STORED for number in range(2)}
    return {position: what[0] for position, what in found.items() if what and not what[1]}


def record(offset: int, message: Any, topic: str = "samples", partition: int = 0) -> Record:
    return Record(topic, partition, offset, message.service, message)


def tick(offset: int, partition: int = 0) -> Record:
    return record(offset, Samples.of("shop", "", START_MS + offset, {DEPTH.id: float(offset)}), partition=partition)


class Watched:
    """Offsets that note each commit and, as the store they belong to does, each insert."""

    def __init__(self, offsets: Subscription, store: Store) -> None:
        self.steps: list[object] = []
        self.committed = offsets.committed
        self._commit, self._write = offsets.commit, store.write_samples
        store.write_samples = self.write  # type: ignore[method-assign]

    def commit(self, at: Mapping[Position, int], metadata: Mapping[Position, str]) -> None:
        self.steps.append((*at.values(), *metadata.values()))
        self._commit(at, metadata)

    def write(self, batches: Sequence[Samples], token: str) -> None:
        self.steps.append(token.rpartition("-")[0])
        self._write(batches, token)


def again(offset: int, first: Record) -> Record:
    """The same message, published once more."""
    return dataclasses.replace(first, offset=offset)
