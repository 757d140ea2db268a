"""Which series are judged, by which methods, and under which names the judgements are published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.layout import NONE, Layout, Part, joined
from detectors.members import Asked, Members
from detectors.panel import Judges, Rows, place
from detectors.plan import Watch
from recwatch.core.canonical import derived_series
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Int64, Samples, Series, SeriesSet

BAND = ("recwatch_expected", "recwatch_lower", "recwatch_upper")
SIDES = {"above": 1.0, "both": 0.0, "below": -1.0}
IDS = ("band_id", "score_id", "ahead_id", "warmup_id")
AHEAD = 3
"""Columns of a method that looks ahead: what it foresees, and both ends of its interval."""
OBJECTIVE = "objective"
UNKNOWN = (-1,)
WATCHED = ("least_change", "least_change_ratio", "limit", "starts_after", "starts_at_once")
"""What of a `Watch` is a column under its own name."""


class Roster:
    """The judged series in the order in which they became known; their index is their row.

    `columns` holds what is known of each. Those with a column a method are `method_row`, the row in the method's own state
    or `NONE` where it is not given the series, and the ids under which score and warm-up are published, 0 where it is
    not. `band_id` has one for each of `BAND`, `ahead_id` has `AHEAD` for each method that looks ahead. `bound` is NaN
    without an objective; the others are those of the `Watch`.
    """

    def __init__(
        self,
        plan: Mapping[str, Watch],
        methods: Mapping[str, Judges],
        needs: Iterable[str],
        objectives: Mapping[str, Objective],
        foresees: Mapping[str, str],
    ) -> None:
        self._signals = {name: number for number, name in enumerate(plan)}
        self._watched = _tables(plan, tuple(methods))
        self._methods, self._judges = tuple(methods), tuple(methods.values())
        self._foresees = {
            self._methods.index(method): (slice(AHEAD * number, AHEAD * (number + 1)), what)
            for number, (method, what) in enumerate(foresees.items())
        }
        self._needs = tuple(needs)
        self._bounds = {service: objective.bounds() for service, objective in objectives.items()}
        self._row_of: dict[int, int] = {}
        self._rows_of: dict[str, list[int]] = {}
        self._taken = np.zeros(len(self._methods), dtype=np.int64)
        self._parts: dict[str, Part] = {}
        self._layout: Layout | None = None
        self._members: Members | None = None
        self._beside_id: dict[str, dict[str, int]] = {}
        self.series: list[Series] = []
        a_method = np.zeros(len(self._methods), dtype=np.uint64)
        self.columns = Rows(
            method_row=np.full(len(self._methods), NONE),
            band_id=np.zeros(len(BAND), dtype=np.uint64),
            score_id=a_method,
            warmup_id=a_method,
            ahead_id=np.zeros(AHEAD * len(foresees), dtype=np.uint64),
            side=0.0,
            least_change=0.0,
            least_change_ratio=0.0,
            bound=np.nan,
            limit=np.nan,
            starts_after=0.0,
            starts_at_once=0.0,
        )

    def learn(self, known: SeriesSet) -> bool:
        """Take note of a service's series; whether any that is judged is new."""
        new = [s for s in known.series if s.canonical and s.name in self._signals and s.id not in self._row_of]
        if not new:
            return False
        for row in self._enter(new):
            self.columns["band_id"][row] = [series.id for series in self._band(row)]
            for method in self._given(row):
                score, warmup = self._by_method(row, method)
                self.columns["score_id"][row, method] = score.id
                self.columns["warmup_id"][row, method] = warmup.id
                if method in self._foresees:
                    self.columns["ahead_id"][row, self._foresees[method][0]] = [s.id for s in self._ahead(row, method)]
        return True

    def row_of(self, series_id: int) -> int | None:
        """The row of a judged series; None where it is not known, or not judged."""
        return self._row_of.get(series_id)

    def derived(self, service: str) -> SeriesSet:
        """Every series under which judgements of the service are published."""
        return SeriesSet(service, tuple(self._derived(service)))

    def in_order(self, ticks: Sequence[Samples]) -> Sequence[Samples]:
        """The ticks of a round as their services became known, so that the same ones lie alike however they came."""
        if self._layout is not None and self._layout.orders(ticks):
            return ticks
        return sorted(ticks, key=lambda tick: self._rows_of.get(tick.service, UNKNOWN)[0])

    def layout(self, ticks: Sequence[Samples]) -> Layout:
        """Where the judged readings of these ticks lie; kept from round to round while services and their series stay."""
        kept, series_id = self._layout, np.concatenate([tick.series_id for tick in ticks])
        if kept is None or not kept.orders(ticks) or not np.array_equal(kept.series_id, series_id):
            self._layout = kept = joined([self._part(tick) for tick in ticks])
        return kept

    def _part(self, tick: Samples) -> Part:
        cached = self._parts.get(tick.service)
        if cached is not None and np.array_equal(cached.series_id, tick.series_id):
            return cached
        ids = tick.series_id.tolist()
        first = {series_id: position for position, series_id in reversed(list(enumerate(ids)))}
        known = ((self._row_of.get(series_id), position) for series_id, position in first.items())
        placed = sorted((row, position) for row, position in known if row is not None)
        row, take = np.array(placed, dtype=np.int64).reshape(-1, 2).T
        beside = {}
        for name in self._needs:
            wanted = self._beside_id.get(tick.service, {}).get(name)
            beside[name] = np.full(len(take), ids.index(wanted) if wanted in ids else NONE, dtype=np.int64)
        part = Part(tick.service, tick.series_id, take, row, beside)
        self._parts[tick.service] = part
        return part

    def members(self, layout: Layout) -> Members:
        """The series of a layout; kept for as long as that is."""
        if self._members is None or self._members.row is not layout.row:
            self._members = self.members_of(layout.row)
        return self._members

    def members_of(self, row: Int64) -> Members:
        """What is known of the series of these rows."""
        columns, at = self.columns, place(row)
        lines = {name: columns[name].T[:, at] for name in ("method_row", *IDS)}
        return Members(
            row,
            at,
            tuple(self._asked(row, own_row) for own_row in lines["method_row"]),
            (lines["method_row"] != NONE) & (np.array(self._judges) != "nothing")[:, None],
            np.concatenate([lines[name] for name in IDS]),
            **{name: columns[name][row] for name in ("bound", "limit", "starts_after", "starts_at_once")},
        )

    def _asked(self, row: Int64, own_row: Int64) -> Asked:
        among = np.flatnonzero(own_row != NONE)
        told = (self.columns[name][row[among]] for name in ("side", "least_change", "least_change_ratio"))
        own = own_row[among]
        return Asked(place(among), own, place(own), *told)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The ids of what is published, which take long to work out."""
        return {name: self.columns[name][: len(self.series)].copy(order="F") for name in IDS}

    def restore(self, series: Sequence[Series], state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take note of these series, with the ids that `state` returned, in a roster that knows none yet."""
        self._enter(series)
        for name in IDS:
            self.columns[name][: len(series)] = state[name]

    def _enter(self, new: Sequence[Series]) -> range:
        """Give new series their rows, with all that the plan says of them."""
        rows = range(len(self.series), len(self.series) + len(new))
        self.series.extend(new)
        self._layout = None
        for row, series in zip(rows, new, strict=True):
            self._row_of[series.id] = row
            self._rows_of.setdefault(series.service, []).append(row)
            self._parts.pop(series.service, None)
            if series.name in self._needs and "model" not in series.labels:
                self._beside_id.setdefault(series.service, {})[series.name] = series.id
        signal = np.array([self._signals[series.name] for series in new], dtype=np.int64)
        bound = np.array([self._bound(series) for series in new])
        told = {name: table[signal] for name, table in self._watched.items()}
        told |= {"bound": bound, "method_row": self._method_rows(told.pop("planned"), bound)}
        self.columns.reserve(np.array(rows))
        for name, column in told.items():
            self.columns[name][rows.start : rows.stop] = column
        return rows

    def _method_rows(self, planned: npt.NDArray[np.bool_], bound: Float64) -> Int64:
        """The next rows of the methods that are planned, where there is an objective of that one too."""
        judges = planned & ((np.array(self._methods) != OBJECTIVE) | ~np.isnan(bound)[:, None])
        taken = self._taken + np.cumsum(judges, axis=0)
        self._taken = self._taken + judges.sum(axis=0)
        return np.where(judges, taken - 1, NONE)

    def _bound(self, series: Series) -> float:
        if "model" in series.labels or series.service not in self._bounds:
            return float("nan")
        return self._bounds[series.service].get(series.name, float("nan"))

    def _derived(self, service: str) -> Iterator[Series]:
        for row in self._rows_of.get(service, ()):
            given = self._given(row)
            if any(self._judges[method] == "distance" for method in given):
                yield from self._band(row)
            for method in given:
                if self._judges[method] != "nothing":
                    yield from self._by_method(row, method)
                yield from self._ahead(row, method)

    def _given(self, row: int) -> list[int]:
        """The columns of the methods that are given a row."""
        given: list[int] = np.flatnonzero(self.columns["method_row"][row] != NONE).tolist()
        return given

    def _band(self, row: int) -> list[Series]:
        return [derived_series(what, self.series[row]) for what in BAND]

    def _by_method(self, row: int, method: int) -> tuple[Series, Series]:
        """Score and warm-up of a row by one method."""
        of, name = self.series[row], self._methods[method]
        return derived_series("recwatch_score", of, name), derived_series("recwatch_warmup_ratio", of, name)

    def _ahead(self, row: int, method: int) -> list[Series]:
        """What a method foresees of a row, and both ends of its interval; nothing where it does not look ahead."""
        _, what = self._foresees.get(method, (None, None))
        ends = ("", "_lower", "_upper") if what else ()
        return [derived_series(f"{what}{end}", self.series[row], self._methods[method]) for end in ends]


def _tables(plan: Mapping[str, Watch], methods: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """What the plan says of its signals, by column, a row a signal; `planned` has a column a method."""
    watches = list(plan.values())
    return {
        "planned": np.array([[method in watch.methods for method in methods] for watch in watches]),
        "side": np.array([SIDES[watch.side] for watch in watches]),
        **{name: np.array([float(getattr(watch, name)) for watch in watches]) for name in WATCHED},
    }
