"""Runs every method of the plan over the ticks of a round, and puts what they say side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detectors import METHODS
from detectors.band import uncalibrated
from detectors.exhaustion import LIMIT
from detectors.forecast import FORECAST
from detectors.fusion import explained, tempered
from detectors.objective import BOUND
from detectors.panel import LARGEST, Batch, Detector, Foresees, Rows, within
from detectors.plan import IN_OWN_TERMS, Watch
from detectors.roster import Roster
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Int64, Judgement, Samples

LEADING = ("latency_given_load", "robust_band", "level_shift")
TRAILING = ("floor", "flat_line", "exhaustion", "objective")
PREFERENCE = (*LEADING, *(name for name in METHODS if name not in LEADING + TRAILING), *TRAILING)
"""Of the methods that have an opinion, the first gives a series its expected value and band."""
BY_LOAD = "latency_given_load"
NEVER_MS = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One reading of each of n series, of one or several services, and what the methods say of them.

    `score` and `warmup` float64[n, methods], `band` float64[n, 3] (expected, lower, upper): NaN where there is nothing to
    say. `ahead` float64[n, methods that look ahead, 3] is what is foreseen with its interval. `services` gives each service
    its slice of the rows; `beside` the signals that methods needed.
    """

    services: Mapping[str, slice]
    row: Int64
    time_ms: Int64
    value: Float64
    beside: Mapping[str, Float64]
    score: Float64
    band: Float64
    warmup: Float64
    ahead: Float64


class Ensemble:
    """The methods of a plan, and the series that they judge."""

    def __init__(
        self, plan: Mapping[str, Watch], settings: Mapping[str, Mapping[str, float]], objectives: Mapping[str, Objective]
    ) -> None:
        planned = [name for name in PREFERENCE if any(name in watch.methods for watch in plan.values())]
        self.methods: dict[str, Detector] = {name: METHODS[name](**settings.get(name, {})) for name in planned}
        self._needs = sorted({need for method in self.methods.values() for need in method.needs} - {BOUND, LIMIT})
        self.foresees = {name: method for name, method in self.methods.items() if isinstance(method, Foresees)}
        ahead = {name: method.foresees for name, method in self.foresees.items()}
        self.roster = Roster(plan, tuple(self.methods), self._needs, objectives, ahead)
        self.rows = Rows(last_ms=np.int64(NEVER_MS), step_ms=np.int64(0), warming=np.ones(len(self.methods), dtype=np.bool_))

    def judge(self, ticks: Sequence[Samples]) -> Round:
        """Judge, then learn, the readings of one round. A reading not newer than its series' last is left out."""
        judged = self._gathered(ticks)
        for number in reversed(range(len(self.methods))):
            self._ask(number, judged)
        if BY_LOAD in self.methods:
            self._explain(judged.score)
        return judged

    def recalibrate(self) -> None:
        """Let every band warm up again, around what is expected now."""
        for method in self.methods.values():
            method.restore(uncalibrated(method.state()))
        self.rows["warming"][:] = True

    def _gathered(self, ticks: Sequence[Samples]) -> Round:
        """The judged readings of all ticks, with nothing said of them yet."""
        layout = self.roster.layout(ticks)
        self.rows.reserve(layout.row)
        time_ms = np.concatenate([tick.time_ms for tick in ticks])[layout.take]
        readings = np.concatenate([*(tick.value for tick in ticks), [np.nan]])
        readings[~np.isfinite(readings)] = np.nan
        value = readings[layout.take]
        fresh = np.flatnonzero((time_ms > self.rows["last_ms"][layout.row]) & ~np.isnan(value))
        row, time_ms, value = layout.row[fresh], time_ms[fresh], within(value[fresh], LARGEST)
        beside = [readings[layout.beside[name][fresh]] for name in self._needs]
        edges = np.searchsorted(fresh, layout.starts).tolist()
        services = {name: slice(*ends) for name, ends in zip(layout.services, pairwise(edges), strict=True)}
        last_ms = self.rows["last_ms"][row]
        self.rows["step_ms"][row] = np.where(last_ms == NEVER_MS, 0, time_ms - last_ms)
        self.rows["last_ms"][row] = time_ms
        known = self.roster.columns
        columns = {**dict(zip(self._needs, beside, strict=True)), BOUND: known["bound"][row], LIMIT: known["limit"][row]}
        shapes = ((len(self.methods),), (3,), (len(self.methods),), (len(self.foresees), 3))
        return Round(services, row, time_ms, value, columns, *(np.full((len(row), *shape), np.nan) for shape in shapes))

    def _ask(self, number: int, into: Round) -> None:
        """What one method says of its rows, written into its place in the round, over what less preferred ones said."""
        name, method = list(self.methods.items())[number]
        own_row = self.roster.columns["method_row"][into.row, number]
        mine = np.flatnonzero(own_row >= 0)
        if len(mine) == 0:
            return
        own_row, row, value = own_row[mine], into.row[mine], into.value[mine]
        beside = {need: into.beside[need][mine] for need in method.needs}
        judgement = method.update(Batch(own_row, into.time_ms[mine], value, beside))
        if name in self.foresees:
            into.ahead[mine, tuple(self.foresees).index(name)] = self.foresees[name].foresight(own_row)
        if name not in IN_OWN_TERMS:
            judgement = self._tempered(judgement, row, value)
            told = ~np.isnan(judgement.score)
            for column, edge in enumerate((judgement.expected, judgement.lower, judgement.upper)):
                into.band[mine[told], column] = edge[told]
        into.score[mine, number] = judgement.score
        warming = self.rows["warming"][row, number]
        if warming.any() and name != FORECAST:
            into.warmup[mine[warming], number] = ratio = method.warmup_ratio(own_row[warming])
            self.rows["warming"][row[warming], number] = ratio < 1.0

    def _tempered(self, judgement: Judgement, row: Int64, value: Float64) -> Judgement:
        columns = self.roster.columns
        relative = columns["least_change_ratio"][row] * np.abs(judgement.expected)
        matters = np.maximum(columns["least_change"][row], relative)
        return tempered(judgement, value, columns["side"][row], matters)

    def _explain(self, score: Float64) -> None:
        """Where latency is what the load makes of it, no other method may find it surprising."""
        by_load = score[:, tuple(self.methods).index(BY_LOAD)].copy()
        for number, name in enumerate(self.methods):
            if name not in IN_OWN_TERMS:
                score[:, number] = explained(score[:, number], by_load)
