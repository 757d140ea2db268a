"""What a single page tells, figure by figure, over its server's lifetime."""

from __future__ import annotations

import math
from collections import defaultdict

from collectors.endpoint import Endpoint
from collectors.exposition import PageParser
from collectors.fleet import made
from collectors.layout import Layout, layout_of
from collectors.measures import Key, Labels
from collectors.recipes import QUANTILES
from collectors.tally import Tally
from recwatch.core.quantiles import quantile


class PageRead:
    """A page's figures; None for what is undefined there.

    Labels given select, and whatever else tells lines apart is put together: no labels, no distinctions.
    """

    def __init__(self, text: str) -> None:
        page = PageParser().parse(text)
        self.layout: Layout = layout_of(page.lines, "shop", Endpoint.of("shop", "http://10.0.0.1:9/metrics", {}))
        values = page.values[self.layout.rows].tolist()
        levels = [(m.measure.key, m.measure.value(values[m.position])) for m in self.layout.instants]
        totals: dict[Key, float] = defaultdict(float)
        for m in (*self.layout.process, *self.layout.hardware):
            totals[m.measure.key] += values[m.position] * m.measure.scale
        self.tally = Tally.lifetime([(key, value) for key, value in levels if math.isfinite(value)], totals)

    def signal(self, name: str, **labels: str) -> float | None:
        kept = self.tally.keeping(frozenset(labels) | {"le", "quantile"})
        wanted = _sorted(labels)
        told = made(kept, [name]).get((name, wanted))
        if told is None and name in QUANTILES:
            buckets = kept.buckets(QUANTILES[name].histogram).get(wanted, {})
            told = quantile([float(le) for le in buckets], list(buckets.values()), QUANTILES[name].q) if buckets else None
        return told

    def total(self, quantity: str, **labels: str) -> float | None:
        return self.tally.keeping(frozenset(labels)).growth(quantity).get(_sorted(labels))

    def level(self, quantity: str, **labels: str) -> list[float]:
        told = self.tally.keeping(frozenset(labels)).levels(quantity).get(_sorted(labels), ())
        return [value for _, value in told]


def _sorted(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def rows(name: str, labels: str, buckets: dict[str, int], total: float) -> str:
    """A histogram: its cumulative buckets, its sum, and its count, which is the last bucket."""
    inside = f"{labels}," if labels else ""
    count = list(buckets.values())[-1]
    les = "".join(f'{name}_bucket{{{inside}le="{le}"}} {n}\n' for le, n in buckets.items())
    return f"{les}{name}_sum{{{labels}}} {total}\n{name}_count{{{labels}}} {count}\n"
