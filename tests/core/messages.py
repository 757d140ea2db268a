"""Words of each topic that hold whatever a test wants to find again, and reading them."""

from __future__ import annotations

import time
from ast import literal_eval
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from recwatch.core.bus import Bus, Record, Subscription
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, Series, SeriesSet

LONG_S = 30.0
MakeBus = Callable[..., Bus]


def word(topic: str, key: str, content: object) -> Any:
    """A message for `topic` that holds `content`."""
    text = repr(content)
    match topic:
        case "samples":
            return Samples(key, text, np.array([1_000]), np.array([7], np.uint64), np.array([0.5]))
        case "series":
            return SeriesSet(key, (Series(text, {"service": key}, "", "gauge", key),))
        case "marks":
            return Mark.of(key, "note", 1_000, text, by="test")
    raise ValueError(topic)


def publish(bus: Bus, topic: str, key: str, content: object) -> None:
    bus.publish(topic, key, word(topic, key, content))


def contents(records: Sequence[Record]) -> list[Any]:
    """What the messages of records hold."""
    return [literal_eval(_text(record.message)) for record in records]


def _text(message: Samples | SeriesSet | Mark) -> str:
    match message:
        case Samples():
            return message.target
        case SeriesSet():
            return message.series[0].name
        case Mark():
            return message.text


def gathered(reader: Subscription, count: int) -> list[Record]:
    """The next `count` records, or those that came in time; never more."""
    records: list[Record] = []
    deadline = time.monotonic() + LONG_S
    while len(records) < count and time.monotonic() < deadline:
        records += reader.poll(LONG_S)
    assert len(records) <= count
    return records
