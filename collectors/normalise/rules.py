"""A server's metric names as a table of rules: which name tells which quantity, in which unit, of which model or GPU."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collectors.exposition import Line
from collectors.measures import Measure, canonical_le, labels_of
from collectors.quantities import QUANTITIES
from recwatch.core.canonical import SIGNALS
from recwatch.core.signals import Kind

ANY = ("*",)
"""In `where`: the label must be there, with any value."""
ABSENT = ""
"""In `where`: the label may be missing."""

MILLI, MICRO, NANO = 1e-3, 1e-6, 1e-9
PERCENT, KIB, MIB, GIB, MHZ = 0.01, 2.0**10, 2.0**20, 2.0**30, 1e6


@dataclass(frozen=True, slots=True)
class Rule:
    """Lines called one of `names` tell `quantities`; `scale` turns the value into the base unit.

    Names are written without `_total`, which counters may carry or not. `labels` maps our labels to the server's; `fixed`
    are labels that the name alone tells. `where` admits only lines whose label has one of the values, `excluding` none whose
    label matches the whole pattern, `kinds` only those of a type, for names that are a counter here and a gauge there. A
    label of the server's with several spellings is the first of them that a line has. Lines that tell the same quantity with
    the same labels add up, unless the page tells it of the same thing under one of the names `unless`, too: so a metric that
    goes by its old and its new name is not counted twice. Lines that differ in the label `alias` alone tell of one thing
    under several names, and the first counts. A `scale` below 0 takes away, where the page tells what from. Where there are
    `flags`, the value is a set of them and tells whether one of these is up. `versions` and `setting` tell people from when
    to when the server writes the name, and what makes it do so where it does not by itself.
    """

    names: tuple[str, ...]
    quantities: tuple[str, ...]
    scale: float = 1.0
    labels: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str | tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    excluding: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[Kind, ...] = ()
    unless: tuple[str, ...] = ()
    alias: str = ""
    flags: int = 0
    versions: str = ""
    setting: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.quantities) - set(QUANTITIES)
        if unknown:
            raise KeyError(f"{self.names[0]}: {sorted(unknown)} are no quantities")

    def admits(self, line: Line) -> bool:
        if self.kinds and line.kind not in self.kinds:
            return False
        if any(re.fullmatch(pattern, line.labels.get(label, ABSENT)) for label, pattern in self.excluding.items()):
            return False
        found = ((_first(line.labels, label), values) for label, values in self.where.items())
        return all(value != ABSENT if values == ANY else value in values for value, values in found)

    def measures(self, line: Line) -> tuple[Measure, ...]:
        """What an admitted line tells."""
        pairs = {ours: _first(line.labels, theirs) for ours, theirs in self.labels.items()} | dict(self.fixed)
        bound = line.labels.get("le")
        try:
            if "quantile" in pairs:
                pairs["quantile"] = canonical_le(pairs["quantile"])
            if bound is not None:
                pairs["le"] = canonical_le(bound, self.scale)
        except ValueError:
            return ()
        if bound is None:
            told = (quantity for quantity in self.quantities if not quantity.endswith("_bucket"))
            return tuple(Measure(quantity, labels_of(pairs.items()), self.scale, self.flags) for quantity in told)
        return tuple(Measure(quantity, labels_of(pairs.items())) for quantity in self.quantities if pairs["le"] != "nan")


def rule(names: str | Sequence[str], quantities: str | Sequence[str], scale: float = 1.0, **more: object) -> Rule:
    """A rule; a single name or quantity needs no tuple.

    >>> rule("nv_gpu_power_usage", "gpu_power_watts", labels={"gpu": "gpu_uuid"}).names
    ('nv_gpu_power_usage',)
    """
    return Rule(_tuple(names), _tuple(quantities), scale, **more)  # type: ignore[arg-type]


def histogram(name: str, family: str, scale: float = 1.0, **more: object) -> tuple[Rule, ...]:
    """The rules of a histogram `name` whose buckets, sum and count tell the quantities `family`_bucket and so on."""
    return _parts(name, family, scale, ("bucket", "sum", "count"), more)


def summary(name: str, family: str, scale: float = 1.0, **more: object) -> tuple[Rule, ...]:
    """The rules of a summary: its sum and count can be merged, its quantiles are of one instance for ever."""
    return (quantiles(name, family, scale, **more), *_parts(name, family, scale, ("sum", "count"), more))


def quantiles(name: str, family: str, scale: float = 1.0, **more: object) -> Rule:
    """The rule of a summary's quantiles alone, where other names tell sum and count."""
    labels = {"quantile": "quantile", **more.pop("labels", {})}  # type: ignore[dict-item]
    return rule(name, f"{family}_quantile", scale, labels=labels, where={"quantile": ANY}, **more)


def _parts(name: str, family: str, scale: float, parts: Sequence[str], more: Mapping[str, object]) -> tuple[Rule, ...]:
    others: tuple[str, ...] = more.get("unless", ())  # type: ignore[assignment]
    return tuple(
        rule(
            f"{name}_{part}",
            f"{family}_{part}",
            1.0 if part == "count" else scale,
            **{**more, "unless": tuple(f"{other}_{part}" for other in others)},
        )
        for part in parts
    )


def _first(labels: Mapping[str, str], spellings: str | Sequence[str]) -> str:
    return next((labels[name] for name in _tuple(spellings) if name in labels), ABSENT)


def _tuple(one_or_more: str | Sequence[str]) -> tuple[str, ...]:
    return (one_or_more,) if isinstance(one_or_more, str) else tuple(one_or_more)


class Table:
    """A normaliser made of rules.

    `marks` are names, or beginnings of names ending in `*`, that only this kind of server writes. Values equal to one of
    `blanks` mean that there is no reading. `repeats` is set where a server prints one figure several times, such as a GPU's
    for each pod that shares it: of the lines of one name that tell the same with the same labels only the first counts.
    `settings` tell people, by canonical signal, what makes the server tell it where no rule's own `setting` does, or why it
    never can.
    """

    def __init__(
        self,
        rules: Iterable[Rule | tuple[Rule, ...]],
        marks: Sequence[str],
        blanks: Sequence[float] = (),
        repeats: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.rules: tuple[Rule, ...] = tuple(r for one in rules for r in (one if isinstance(one, tuple) else (one,)))
        self.blanks = tuple(blanks)
        self._repeats = repeats
        self._once = repeats or any(rule.alias for rule in self.rules)
        self.settings = dict(settings or {})
        if unknown := set(self.settings) - set(SIGNALS):
            raise KeyError(f"{sorted(unknown)} are no canonical signals")
        self._marks = frozenset(marks)
        self._beginnings = tuple(mark[:-1] for mark in marks if mark.endswith("*"))
        self._by_name: dict[str, list[Rule]] = {}
        for one in self.rules:
            for name in one.names:
                self._by_name.setdefault(name, []).append(one)

    def recognises(self, name: str) -> bool:
        return name in self._marks or name.startswith(self._beginnings)

    def measures(self, lines: Sequence[Line]) -> Sequence[tuple[Measure, ...]]:
        """What each line measures."""
        told = [[(r, r.measures(line)) for r in self.rules_of(line.name) if r.admits(line)] for line in lines]
        told = _once(lines, told, self._repeats) if self._once else told
        names = {(name, m.quantity, m.thing) for rules in told for r, ms in rules for m in ms for name in r.names}
        added = {m.quantity for rules in told for _, ms in rules for m in ms if m.scale >= 0}
        return [
            tuple(
                m
                for r, ms in rules
                for m in ms
                if m.quantity in added and not any((name, m.quantity, m.thing) in names for name in r.unless)
            )
            for rules in told
        ]

    def rules_of(self, name: str) -> Sequence[Rule]:
        """The rules that speak of a name, though they may not admit the line."""
        return self._by_name.get(name, self._by_name.get(name.removesuffix("_total"), ()))


_Told = list[list[tuple[Rule, tuple[Measure, ...]]]]


def _once(lines: Sequence[Line], told: _Told, repeats: bool) -> _Told:
    """What each line tells that no line of the same name told before it; without `repeats` only where there is an alias."""
    first: dict[object, int] = {}
    for row, (line, rules) in enumerate(zip(lines, told, strict=True)):
        for rule, measures in rules:
            for measure in measures:
                first.setdefault((line.name, _thing(line, rule, measure)), row)
    return [
        [
            (r, tuple(m for m in ms if not (repeats or r.alias) or first[line.name, _thing(line, r, m)] == row))
            for r, ms in rules
        ]
        for row, (line, rules) in enumerate(zip(lines, told, strict=True))
    ]


def _thing(line: Line, told_by: Rule, measure: Measure) -> object:
    """What a line tells of, whichever of its names it goes by."""
    if not told_by.alias:
        return measure.key
    return measure.quantity, frozenset(pair for pair in line.labels.items() if pair[0] != told_by.alias)
