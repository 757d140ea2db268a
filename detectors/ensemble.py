"""Runs every method of the plan over the ticks of a round, and puts what they say side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors import METHODS
from detectors.band import uncalibrated
from detectors.exhaustion import LIMIT
from detectors.fusion import explained, tempered
from detectors.members import Members
from detectors.objective import BOUND
from detectors.panel import LARGEST, Batch, Detector, Foresees, Place, Rows, within
from detectors.plan import Watch
from detectors.roster import AHEAD, BAND, Roster
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Int64, Judgement, Samples

LEADING = ("latency_given_load", "robust_band", "level_shift")
TRAILING = ("floor", "flat_line", "exhaustion", "objective")
PREFERENCE = (*LEADING, *(name for name in METHODS if name not in LEADING + TRAILING), *TRAILING)
"""Of the methods that have an opinion, the first gives a series its expected value and band."""
BY_LOAD = "latency_given_load"
NEVER_MS = int(np.iinfo(np.int64).min)
LONGEST_STEP_MS = int(np.iinfo(np.int32).max)
"""Nearly 25 days: what was silent for longer counts as if it had been for so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One reading of each of n series, of one or several services, and what the methods say of them.

    `services` gives each service its slice of the rows; `beside` the signals that methods needed. `said` float64[columns, n]
    has a line for each of `BAND`, one a method for its score, `AHEAD` for each method that looks ahead, and one for each
    method that is `warming` up for some series; NaN where there is nothing to say.
    """

    services: Mapping[str, slice]
    members: Members
    time_ms: Int64
    value: Float64
    beside: Mapping[str, Float64]
    warming: tuple[int, ...]
    said: Float64

    @property
    def row(self) -> Int64:
        return self.members.row

    @property
    def band(self) -> Float64:
        """Expected value, lower and upper edge, float64[3, n]."""
        return self.said[: len(BAND)]

    @property
    def score(self) -> Float64:
        """float64[methods, n]."""
        return self.said[len(BAND) : len(BAND) + len(self.members.asked)]

    def ahead(self, place: int) -> Float64:
        """What the method of this place among those that look ahead foresees, with its interval, float64[3, n]."""
        first = len(BAND) + len(self.members.asked) + AHEAD * place
        return self.said[first : first + AHEAD]

    @property
    def warmup(self) -> Float64:
        """float64[methods that are warming up, n]."""
        return self.said[len(self.said) - len(self.warming) :]

    def heard_ms(self, service: str) -> int | None:
        """The sample time of a service's tick; None where nothing of it was judged."""
        rows = self.services.get(service, slice(0, 0))
        return int(self.time_ms[rows.start]) if rows.stop > rows.start else None


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
        judges = {name: method.judges for name, method in self.methods.items()}
        self.roster = Roster(plan, judges, self._needs, objectives, ahead)
        self.rows = Rows(last_ms=np.int64(NEVER_MS), step_ms=np.int32(0), warming=np.ones(len(self.methods), dtype=np.bool_))

    def judge(self, ticks: Sequence[Samples]) -> Round:
        """Judge, then learn, the readings of one round. A reading not newer than its series' last is left out."""
        judged = self._gathered(ticks)
        for number, name in reversed(list(enumerate(self.methods))):
            if len(judged.members.asked[number].own_row):
                self._ask(number, name, judged)
        for line, number in zip(judged.warmup, judged.warming, strict=True):
            self._tell_warmup(number, judged, line)
        if BY_LOAD in self.methods:
            self._explain(judged)
        return judged

    def recalibrate(self) -> None:
        """Let every band warm up again, around what is expected now."""
        for method in self.methods.values():
            method.restore(uncalibrated(method.state()))
        self.rows["warming"][:] = True

    def _gathered(self, ticks: Sequence[Samples]) -> Round:
        """The judged readings of all ticks, with nothing said of them yet."""
        ticks = self.roster.in_order(ticks)
        layout = self.roster.layout(ticks)
        services, members, beside = layout.services, self.roster.members(layout), layout.beside
        self.rows.reserve(layout.row)
        readings = np.concatenate([*(tick.value for tick in ticks), [np.nan]])
        readings[~np.isfinite(readings)] = np.nan
        time_ms, value = np.concatenate([tick.time_ms for tick in ticks])[layout.take], readings[layout.take]
        newer = (time_ms > self.rows["last_ms"][members.place]) & ~np.isnan(value)
        if np.count_nonzero(newer) < len(value):
            fresh = np.flatnonzero(newer)
            services, members = layout.services_among(fresh), self.roster.members_of(layout.row[fresh])
            beside = {name: place[fresh] for name, place in beside.items()}
            time_ms, value = time_ms[fresh], value[fresh]
        self._note_time(members, time_ms)
        columns = {BOUND: members.bound, LIMIT: members.limit, **{name: readings[beside[name]] for name in self._needs}}
        warming = np.flatnonzero((self.rows["warming"].T[:, members.place] & members.warms).any(axis=1))
        count = len(BAND) + len(self.methods) + AHEAD * len(self.foresees) + len(warming)
        said = np.full((count, len(value)), np.nan)
        return Round(services, members, time_ms, within(value, LARGEST), columns, tuple(warming.tolist()), said)

    def _note_time(self, members: Members, time_ms: Int64) -> None:
        last_ms = self.rows["last_ms"][members.place]
        self.rows["step_ms"][members.place] = np.where(
            last_ms == NEVER_MS, 0, np.minimum(time_ms - last_ms, LONGEST_STEP_MS)
        )
        self.rows["last_ms"][members.place] = time_ms

    def _ask(self, number: int, name: str, into: Round) -> None:
        """What one method says of its rows, in its place in the round; its band goes over less preferred ones."""
        method, asked = self.methods[name], into.members.asked[number]
        among, value = asked.among, into.value[asked.among]
        beside = {need: into.beside[need][among] for need in method.needs}
        judgement = method.update(Batch(asked.own_row, into.time_ms[among], value, beside, asked.own_place))
        if name in self.foresees:
            foreseen = self.foresees[name].foresight(asked.own_row)
            into.ahead(tuple(self.foresees).index(name))[:, among] = foreseen.T
        if method.judges == "distance":
            judgement = tempered(judgement, value, asked.side, asked.matters(judgement.expected))
            _tell_band(judgement, into.band, among)
        if method.judges != "nothing":
            into.score[number][among] = judgement.score

    def _tell_warmup(self, number: int, judged: Round, line: Float64) -> None:
        asked, method = judged.members.asked[number], list(self.methods.values())[number]
        row = judged.row[asked.among]
        warming, ratio = self.rows["warming"][row, number], method.warmup_ratio(asked.own_row)
        line[asked.among] = np.where(warming, ratio, np.nan)
        self.rows["warming"][row, number] = warming & (ratio < 1.0)

    def _explain(self, judged: Round) -> None:
        """Where latency is what the load makes of it, no other method may find it surprising."""
        by_load = tuple(self.methods).index(BY_LOAD)
        among = judged.members.asked[by_load].among
        reason = judged.score[by_load][among]
        for line, method in zip(judged.score, self.methods.values(), strict=True):
            if method.judges == "distance":
                line[among] = explained(line[among], reason)


def _tell_band(judgement: Judgement, band: Float64, among: Place) -> None:
    """Write what is told into the band of all; where the method abstains, what is there stays."""
    told = ~np.isnan(judgement.score)
    whole = np.count_nonzero(told) == len(told)
    for line, edge in zip(band, (judgement.expected, judgement.lower, judgement.upper), strict=True):
        line[among] = edge if whole else np.where(told, edge, line[among])
