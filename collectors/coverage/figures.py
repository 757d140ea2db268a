"""What the lines of one page measure → figures of canonical signals, and the totals of counters, with their sources."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from collectors.coverage import lifetime
from collectors.coverage.lifetime import OfDeployments, OfStage, Recipe, Total
from collectors.coverage.words import Figure, Flag, Source
from collectors.exposition import Line, Page
from collectors.formulas import Quantile, Summary
from collectors.measures import Key, Labels, Measure
from collectors.normalise.rules import Table
from collectors.quantities import QUANTITIES, Quantity
from collectors.tally import Tally
from recwatch.core.canonical import SIGNALS

_APART = frozenset({"gpu", "mig", "host", "mountpoint", "emulated", "stage"})
"""Never put together: an instance lies within its GPU, a stage within the request; of file systems each fills by itself."""
_INNER = frozenset({"le", "quantile", "xid"})
_MOST_LABELS = 6
_TOTALS: Mapping[str, str] = {"requests_failed": "errors_total"}


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a line tells, in the base unit; NaN where the server says that it has no reading."""

    line: Line
    measure: Measure
    printed: float

    @property
    def value(self) -> float:
        return self.measure.value(self.printed) if math.isfinite(self.printed) else math.nan

    @property
    def clipped(self) -> bool:
        return QUANTITIES[self.measure.quantity].unit == "ratio" and self.printed * self.measure.scale > 1.0


def read(page: Page, measures: Sequence[tuple[Measure, ...]], blanks: Sequence[float]) -> tuple[Told, ...]:
    """What each line tells; of several with one name and the same labels the first counts."""
    first: dict[tuple[str, frozenset[tuple[str, str]]], int] = {}
    for row, line in enumerate(page.lines):
        first.setdefault((line.name, frozenset(line.labels.items())), row)
    values = [math.nan if value in blanks else value for value in page.values.tolist()]
    return tuple(Told(page.lines[row], measure, values[row]) for row in first.values() for measure in measures[row])


def told_again(page: Page, tables: Iterable[Table], counted: Sequence[Told]) -> tuple[tuple[Told, ...], ...]:
    """What metrics tell that do not count since another tells the same, such as an old name beside the new; by metric."""
    counting = {(one.line.name, one.measure.quantity) for one in counted}
    again: dict[str, list[Told]] = defaultdict(list)
    for table in tables:
        for line, value in zip(page.lines, page.values.tolist(), strict=True):
            for rule in table.rules_of(line.name):
                if rule.scale > 0 and rule.admits(line) and value not in table.blanks:
                    measures = (m for m in rule.measures(line) if (line.name, m.quantity) not in counting)
                    again[_family(line.name)].extend(Told(line, measure, value) for measure in measures)
    return tuple(map(tuple, again.values()))


def _family(name: str) -> str:
    return re.sub("_(bucket|sum|count|total)$", "", name)


def figures(told: Iterable[Told]) -> tuple[Figure, ...]:
    """Figures in the order of the canonical signals, more quantiles, then totals in the order of the quantities."""
    by_quantity: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        if math.isfinite(one.value):
            by_quantity[one.measure.quantity].append(one)
    signals = (
        _figures(name, signal.unit, frozenset(signal.labels), lifetime.recipes(name), by_quantity)
        for name, signal in SIGNALS.items()
    )
    more = (
        _figures(name, QUANTITIES[lifetime.quantities(made_of[1])[0]].unit, _APART | {"model"}, made_of, by_quantity)
        for name, made_of in lifetime.MORE.items()
    )
    totals = (
        _figures(total_name(q.name), q.unit or "count", _APART | {"model"}, (Total(q.name),), by_quantity)
        for q in counters()
    )
    return tuple(figure for found in (*signals, *more, *totals) for figure in found)


def counters() -> tuple[Quantity, ...]:
    """The quantities of which a total is told: all that grow, but for the parts of histograms."""
    parts = ("_bucket", "_sum", "_count")
    return tuple(q for q in QUANTITIES.values() if q.counts != "level" and not q.name.endswith(parts))


def total_name(quantity: str) -> str:
    """What the total of a counter is called.

    >>> total_name("requests"), total_name("requests_failed")
    ('requests_total', 'errors_total')
    """
    return _TOTALS.get(quantity, f"{quantity}_total")


def _figures(
    name: str, unit: str, stable: frozenset[str], made_of: Sequence[Recipe], by_quantity: Mapping[str, Sequence[Told]]
) -> list[Figure]:
    """The figures of one signal at every grain, each set of sources once at its finest, and once with `stable` labels."""
    found: dict[Labels, tuple[Figure, frozenset[int]]] = {}
    for recipe in made_of:
        told = (one for quantity in lifetime.quantities(recipe) for one in by_quantity.get(quantity, ()))
        involved = [one for one in told if lifetime.concerns(recipe, one.measure.labels)]
        for keep in _grains(involved):
            for labels, value in lifetime.figures(recipe, _tally(involved, keep)).items():
                sources = _sources(recipe, involved, keep, labels)
                if sources and math.isfinite(value):
                    flags = tuple(_flags(recipe, sources, keep))
                    is_stable = {label for label, _ in labels} <= stable
                    figure = Figure(name, labels, value, unit, flags, _named(sources), is_stable)
                    found.setdefault(labels, (figure, frozenset(map(id, sources))))
    ascending = sorted(found.values(), key=lambda one: (len(one[0].labels), one[0].labels))
    finest = {sources: figure for figure, sources in ascending}
    return [figure for figure, sources in ascending if figure.stable or finest[sources] is figure]


def _grains(involved: Sequence[Told]) -> Iterator[frozenset[str]]:
    """Which labels to keep: every choice of those that may be summed over, or the extremes where they are many."""
    names = sorted(set().union(*(_names(one) for one in involved)) - _APART - _INNER)
    sizes = range(len(names) + 1) if len(names) <= _MOST_LABELS else (0, 1, len(names))
    return (frozenset(chosen) for size in sizes for chosen in combinations(names, size))


def _names(one: Told) -> frozenset[str]:
    return frozenset(name for name, _ in one.measure.labels)


def _sources(recipe: Recipe, involved: Sequence[Told], keep: frozenset[str], labels: Labels) -> list[Told]:
    """What went into the figure with these labels; none where it only says that something would be counted."""
    apart = _APART - {"stage"} if isinstance(recipe, OfStage | OfDeployments) else _APART
    about = [
        one
        for one in involved
        if keep <= _names(one) and tuple(pair for pair in one.measure.labels if pair[0] in keep | apart) == labels
    ]
    counted = [one for one in about if one.measure.scale]
    return counted if keep else counted or about


def _tally(involved: Sequence[Told], keep: frozenset[str]) -> Tally:
    levels = [(one.measure.key, one.value) for one in involved if one.measure.counts == "level"]
    totals: dict[Key, float] = defaultdict(float)
    for one in involved:
        if one.measure.counts != "level":
            totals[one.measure.key] += one.value
    return Tally.lifetime(levels, totals).keeping(keep | _APART | _INNER, of_each=keep)


def _flags(recipe: Recipe, sources: Sequence[Told], keep: frozenset[str]) -> Iterator[Flag]:
    inner = recipe.recipe if isinstance(recipe, OfStage | OfDeployments) else recipe
    if isinstance(inner, Quantile):
        (buckets,) = _tally(sources, keep).buckets(inner.histogram).values()
        if inner.q * buckets["+Inf"] > max(count for le, count in buckets.items() if le != "+Inf"):
            yield "lower_bound"
    if isinstance(inner, Summary):
        yield "one_instance"
    if any(one.clipped for one in sources):
        yield "clipped"


def _named(sources: Sequence[Told]) -> tuple[Source, ...]:
    found: dict[tuple[str, Labels], Source] = {}
    for one in sources:
        labels = {name: value for name, value in one.line.labels.items() if name != "le"}
        found.setdefault((one.line.name, tuple(sorted(labels.items()))), Source(one.line.name, labels))
    return tuple(found.values())
