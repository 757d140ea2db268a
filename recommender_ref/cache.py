"""Answers kept for a while: least recently used out first, none older than the time to live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class ResultCache(Generic[V]):
    """At most `entries` values no older than `ttl_s`; both are given with each call, since they are knobs.

    >>> cache = ResultCache[str](clock=lambda: 0.0)
    >>> cache.put("a", "answer", entries=1)
    >>> cache.get("a", ttl_s=10)
    'answer'
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()

    def get(self, key: Hashable, ttl_s: float) -> V | None:
        """The value if it is there and younger than `ttl_s`."""
        found = self._kept.get(key)
        if found is None:
            return None
        if self._clock() - found[0] >= ttl_s:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: Hashable, value: V, entries: int) -> None:
        """Keep a value, and drop the least recently used beyond `entries`."""
        self._kept[key] = (self._clock(), value)
        self._kept.move_to_end(key)
        while len(self._kept) > entries:
            self._kept.popitem(last=False)
