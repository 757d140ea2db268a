"""The readings of a service's targets, put together: what formulas look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from collectors.measures import Key, Labels, Reading

Told = list[tuple[int, float]]
"""Who told it (the target's number), and what; a target may tell several, such as one a core."""
Table = Mapping[str, Mapping[Labels, Told]]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """By quantity and labels: levels, growth a second, and growth.

    `spans_s` are the intervals of the targets by their numbers, and `current` the targets whose growth was not counted
    before: their growth counts, that of the others only goes into rates.
    """

    _levels: Table
    _growth: Table
    _spans_s: Sequence[float]
    _current: frozenset[int]

    @classmethod
    def of(cls, latest: Sequence[Reading], time_ms: int) -> Tally:
        """Levels and rates of the latest readings; growth only of those of `time_ms`, so that none is counted twice."""
        levels, growth = _table(), _table()
        for target, reading in enumerate(latest):
            for (quantity, labels), value in reading.instants:
                levels[quantity][labels].append((target, value))
            for (quantity, labels), grown in reading.increments.items():
                growth[quantity][labels].append((target, grown))
        spans_s = [reading.interval_s or 1.0 for reading in latest]
        return cls(levels, growth, spans_s, frozenset(n for n, one in enumerate(latest) if one.time_ms == time_ms))

    @classmethod
    def lifetime(cls, instants: Iterable[tuple[Key, float]], totals: Mapping[Key, float]) -> Tally:
        """Of one page alone: its levels, and its counters as growth since the server's start; no rates."""
        whole = cls.of([Reading(0, tuple(instants), totals, None)], 0)
        return replace(whole, _spans_s=())

    def keeping(self, names: frozenset[str], of_each: frozenset[str] = frozenset()) -> Tally:
        """The same with only these labels: what others told apart is put together. What lacks `of_each` is left out."""
        levels, growth = (_kept(table, names, of_each) for table in (self._levels, self._growth))
        return replace(self, _levels=levels, _growth=growth)

    def distinct(self, label: str) -> frozenset[str]:
        """The values that a label has."""
        tables = (self._levels, self._growth)
        pairs = (pair for table in tables for told in table.values() for labels in told for pair in labels)
        return frozenset(value for name, value in pairs if name == label)

    def levels(self, quantity: str) -> Mapping[Labels, Told]:
        return self._levels.get(quantity, {})

    def rates(self, quantity: str) -> Mapping[Labels, Told]:
        if not self._spans_s:
            return {}
        found = self._growth.get(quantity, {})
        return {labels: [(of, grown / self._spans_s[of]) for of, grown in told] for labels, told in found.items()}

    def growth(self, quantity: str) -> Mapping[Labels, float]:
        """The growth of all targets together."""
        found = {labels: self._uncounted(told) for labels, told in self._growth.get(quantity, {}).items()}
        return {labels: sum(grown for _, grown in told) for labels, told in found.items() if told}

    def _uncounted(self, told: Told) -> Told:
        return told if len(self._current) == len(self._spans_s) else [one for one in told if one[0] in self._current]

    def buckets(self, histogram: str) -> Mapping[Labels, Mapping[str, float]]:
        """The growth of each bucket, by `le`, of all targets together; only buckets that all of them have.

        Instances of two releases may cut latency differently. A page cut off before the last bucket, +Inf, tells none.
        """
        by_target: dict[Labels, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        found = {labels: self._uncounted(told) for labels, told in self._growth.get(f"{histogram}_bucket", {}).items()}
        for labels, told in found.items():
            le = next(value for name, value in labels if name == "le")
            rest = tuple(pair for pair in labels if pair[0] != "le")
            for target, grown in told:
                of_target = by_target[rest][target]
                of_target[le] = of_target.get(le, 0.0) + grown
        shared = {labels: _shared(list(targets.values())) for labels, targets in by_target.items()}
        return {labels: histogram for labels, histogram in shared.items() if "+Inf" in histogram}


def _shared(histograms: Sequence[Mapping[str, float]]) -> dict[str, float]:
    common = set.intersection(*(set(histogram) for histogram in histograms))
    return {le: sum(histogram[le] for histogram in histograms) for le in sorted(common, key=float)}


def _table() -> defaultdict[str, defaultdict[Labels, Told]]:
    return defaultdict(lambda: defaultdict(list))


def _kept(table: Table, names: frozenset[str], of_each: frozenset[str]) -> Table:
    kept = _table()
    for quantity, by_labels in table.items():
        for labels, told in by_labels.items():
            if of_each <= {name for name, _ in labels}:
                kept[quantity][_only(labels, names)].extend(told)
    return kept


@lru_cache(maxsize=100_000)
def _only(labels: Labels, names: frozenset[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)
