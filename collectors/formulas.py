"""The formulas that turn quantities into canonical signals: what each makes of a tally."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from collectors.measures import Labels
from collectors.tally import Tally, Told

By = dict[Labels, float]
"""A figure for each model, GPU or whatever the labels tell apart."""


@dataclass(frozen=True, slots=True)
class Level:
    """How things stand: over targets, models or cores the sum, the mean, the least or the most of it.

    "each" is the mean over targets of what each tells in all: two that watch one GPU do not double what its links carry.
    """

    quantity: str
    over: Literal["sum", "mean", "least", "most", "each"]

    def of(self, tally: Tally) -> By:
        found = tally.levels(self.quantity)
        match self.over:
            case "sum":
                return {labels: sum(_values(told)) for labels, told in found.items()}
            case "mean":
                return {labels: sum(_values(told)) / len(told) for labels, told in found.items()}
            case "least":
                return {labels: min(_values(told)) for labels, told in found.items()}
            case "most":
                return {labels: max(_values(told)) for labels, told in found.items()}
            case "each":
                return {labels: _each(told) for labels, told in found.items()}


@dataclass(frozen=True, slots=True)
class Rate:
    """Growth a second, summed over the targets; or of each target the sum, and of these the mean."""

    quantity: str
    over: Literal["sum", "each"] = "sum"

    def of(self, tally: Tally) -> By:
        put_together = _each if self.over == "each" else _sum
        return {labels: put_together(told) for labels, told in tally.rates(self.quantity).items()}


@dataclass(frozen=True, slots=True)
class ShareOfTime:
    """Growth of a duration a second, 0..1 for each target, averaged."""

    seconds: str

    def of(self, tally: Tally) -> By:
        found = tally.rates(self.seconds)
        return {labels: sum(min(1.0, rate) for rate in _values(told)) / len(told) for labels, told in found.items()}


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Growth of busy time a second over the number of those that can be busy; 0..1."""

    busy_seconds: str
    workers: str

    def of(self, tally: Tally) -> By:
        shares = {}
        for labels, busy in tally.rates(self.busy_seconds).items():
            known = {target for target, _ in busy}
            workers = sum(value for target, value in tally.levels(self.workers).get(labels, ()) if target in known)
            if workers > 0:
                shares[labels] = min(1.0, sum(_values(busy)) / workers)
        return shares


@dataclass(frozen=True, slots=True)
class Mean:
    """Growth of a sum over growth of a count; undefined where nothing happened."""

    of_histogram: str

    def of(self, tally: Tally) -> By:
        sums, counts = tally.growth(f"{self.of_histogram}_sum"), tally.growth(f"{self.of_histogram}_count")
        return {labels: sums[labels] / count for labels, count in counts.items() if count > 0 and labels in sums}


@dataclass(frozen=True, slots=True)
class Share:
    """Growth of a part over growth of the whole; undefined where the whole did not grow, or the part is not counted."""

    part: str
    wholes: tuple[str, ...]

    def of(self, tally: Tally) -> By:
        parts, wholes = tally.growth(self.part), [tally.growth(whole) for whole in self.wholes]
        sums = {labels: sum(whole.get(labels, 0.0) for whole in wholes) for labels in parts}
        return {labels: parts[labels] / whole for labels, whole in sums.items() if whole > 0}


@dataclass(frozen=True, slots=True)
class Summary:
    """The quantile `q` that a server worked out itself; of one instance only, since such quantiles cannot be merged."""

    of_summary: str
    q: float

    def of(self, tally: Tally) -> By:
        wanted = ("quantile", repr(self.q))
        found = {labels: told for labels, told in tally.levels(f"{self.of_summary}_quantile").items() if wanted in labels}
        return {_without(labels, wanted): told[0][1] for labels, told in found.items() if len(told) == 1}


@dataclass(frozen=True, slots=True)
class Code:
    """The highest of the codes in `label` that were counted at all; 0 where there were none."""

    counts: str
    label: str

    def of(self, tally: Tally) -> By:
        highest: By = {}
        for labels, told in tally.levels(self.counts).items():
            code = dict(labels).get(self.label, "")
            rest = tuple(pair for pair in labels if pair[0] != self.label)
            counted = float(code) if code.isdigit() and _sum(told) > 0 else 0.0
            highest[rest] = max(highest.get(rest, 0.0), counted)
        return highest


PROFILED = ("gpu_engine_active_ratio", "gpu_sm_active_ratio")
_PLAINLY_BUSY = 0.05


@dataclass(frozen=True, slots=True)
class Profiled:
    """What a GPU's profiling tells. Where all of it stands at 0 while the GPU is busy, it is off, and tells nothing."""

    quantity: str

    def of(self, tally: Tally) -> By:
        busy = Level("gpu_busy_ratio", "mean").of(tally)
        found = [(labels, told) for name in PROFILED for labels, told in tally.levels(name).items()]
        off = {labels for labels, _ in found} - {labels for labels, told in found if _sum(told) > 0}
        told = Level(self.quantity, "mean").of(tally)
        return {
            labels: value for labels, value in told.items() if labels not in off or busy.get(labels, 0.0) < _PLAINLY_BUSY
        }


@dataclass(frozen=True, slots=True)
class Made:
    """What `how` makes of the figures of several formulas, where all of them have one."""

    how: Callable[..., float | None]
    parts: tuple[Level, ...]

    def of(self, tally: Tally) -> By:
        first, *others = (part.of(tally) for part in self.parts)
        known = [labels for labels in first if all(labels in figures for figures in others)]
        made = {labels: self.how(first[labels], *(figures[labels] for figures in others)) for labels in known}
        return {labels: value for labels, value in made.items() if value is not None}


def _values(told: Told) -> list[float]:
    return [value for _, value in told]


def _sum(told: Told) -> float:
    return sum(_values(told))


def _each(told: Told) -> float:
    return _sum(told) / len({target for target, _ in told})


def _without(labels: Labels, pair: tuple[str, str]) -> Labels:
    return tuple(one for one in labels if one != pair)


Formula = Level | Rate | ShareOfTime | Utilisation | Mean | Share | Summary | Code | Profiled | Made


@dataclass(frozen=True, slots=True)
class Quantile:
    """The quantile `q` of a histogram's bucket increments over the window, summed over instances first."""

    histogram: str
    q: float
