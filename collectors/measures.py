"""What a page tells once its server's spelling is taken off: quantities in base units, on their way to canonical signals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collectors.quantities import QUANTITIES, Counts

Labels = tuple[tuple[str, str], ...]
"""Pairs of label and value, sorted by label."""
Key = tuple[str, Labels]
"""A quantity and its labels."""

SLICES = frozenset(
    {"model", "version", "application", "route", "code", "le", "quantile"}
    | {"cpu", "mode", "device", "link", "die", "event", "xid"}
)
"""Labels by which a server cuts up what it tells of one thing; any other, such as `gpu` or `stage`, tells things apart."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What one line of a page measures; `scale` turns its value into the base unit. Lines with one key add up.

    Where there are `flags`, the value printed is a set of them, and what is measured is whether one of these is up.
    Labels may be finer than those of the signals made of it: `version`, `route`, `cpu` and the like are summed over.
    """

    quantity: str
    labels: Labels = ()
    scale: float = 1.0
    flags: int = 0

    @property
    def key(self) -> Key:
        return (self.quantity, self.labels)

    @property
    def thing(self) -> Labels:
        """What it is told of, however finely the server cuts it up."""
        return tuple(pair for pair in self.labels if pair[0] not in SLICES)

    @property
    def family(self) -> str:
        return QUANTITIES[self.quantity].family or self.quantity

    @property
    def counts(self) -> Counts:
        return QUANTITIES[self.quantity].counts

    def value(self, printed: float) -> float:
        """The reading in its base unit; NaN where it makes no sense.

        A ratio below 0 is some servers' way to say that it is undefined; one above 1 is an overshoot of the counters, as
        DCGM's SM_ACTIVE on MIG. Nothing that runs draws 0 watts or is at 0 °C: that is a sensor which is not there.
        """
        unit = QUANTITIES[self.quantity].unit
        if self.flags:
            return float(bool(int(printed) & self.flags))
        if unit in ("watts", "celsius") and printed == 0:
            return math.nan
        if unit != "ratio":
            return printed * self.scale
        return min(1.0, printed * self.scale) if printed >= 0 else math.nan


@dataclass(frozen=True, slots=True)
class Reading:
    """One scrape of one target in measures. `increments`, over `interval_s`, are empty on a target's first scrape."""

    time_ms: int
    instants: tuple[tuple[Key, float], ...]
    increments: Mapping[Key, float]
    interval_s: float | None


def labels_of(pairs: Iterable[tuple[str, str]]) -> Labels:
    """Labels in their order; those with an empty value say nothing and are left out.

    >>> labels_of({"model": "m", "gpu": ""}.items())
    (('model', 'm'),)
    """
    return tuple(sorted((name, value) for name, value in pairs if value))


def canonical_le(text: str, scale: float = 1.0) -> str:
    """A bucket's upper bound as every part of recwatch writes it, however the server does; `scale` gives the base unit.

    >>> canonical_le("5"), canonical_le("1e-02"), canonical_le("+Inf"), canonical_le("250", 0.001)
    ('5.0', '0.01', '+Inf', '0.25')
    """
    bound = float(text)
    return "+Inf" if bound == math.inf else repr(float(f"{bound * scale:.12g}"))
