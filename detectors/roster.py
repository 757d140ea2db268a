"""Which series are judged, by which methods, and under which names the judgements are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.forecast import FORECAST
from detectors.plan import IN_OWN_TERMS, Watch
from recwatch.core.canonical import derived_series
from recwatch.core.objective import Objective
from recwatch.core.signals import Float64, Int64, Samples, Series, SeriesSet, UInt64

BAND = ("recwatch_expected", "recwatch_lower", "recwatch_upper")
SIDES = {"above": 1.0, "both": 0.0, "below": -1.0}


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What is known of each judged series, one row a series; matrices have one column a method.

    `method_row` is the row in the method's own state, -1 where it does not judge the series. `bound` is NaN
    without an objective, `limit` where nothing can run out. `ahead_id` has three columns a method that looks ahead.
    """

    method_row: Int64
    score_id: UInt64
    warmup_id: UInt64
    band_id: UInt64
    ahead_id: UInt64
    side: Float64
    least_change: Float64
    least_change_ratio: Float64
    bound: Float64
    limit: Float64
    starts_after: Float64
    starts_at_once: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the judged readings of a tick lie: positions `take` hold the series of `row`; -1 in `beside` means absent.

    Of a series that is there twice the first reading counts.
    """

    series_id: UInt64
    take: Int64
    row: Int64
    beside: Mapping[str, Int64]


@dataclass(frozen=True, slots=True)
class _Names:
    """Ids of the series under which the judgements of one series are published."""

    band: tuple[int, ...]
    score: tuple[int, ...]
    warmup: tuple[int, ...]
    ahead: tuple[int, ...]

    @classmethod
    def of(cls, series: Series, methods: Sequence[str], foresees: Mapping[str, str]) -> _Names:
        return cls(
            tuple(derived_series(what, series).id for what in BAND),
            tuple(derived_series("recwatch_score", series, method).id for method in methods),
            tuple(derived_series("recwatch_warmup_ratio", series, method).id for method in methods),
            tuple(ahead.id for method, what in foresees.items() for ahead in _ahead(what, series, method)),
        )


class Roster:
    """The judged series in the order in which they became known; their index is their row."""

    def __init__(
        self,
        plan: Mapping[str, Watch],
        methods: Sequence[str],
        needs: Iterable[str],
        objectives: Mapping[str, Objective],
        foresees: Mapping[str, str],
    ) -> None:
        self._plan = plan
        self._foresees = foresees
        self._methods = tuple(methods)
        self._needs = tuple(needs)
        self._objectives = objectives
        self._row_of: dict[int, int] = {}
        self._taken = [0] * len(self._methods)
        self._names: list[_Names] = []
        self._method_rows: list[list[int]] = []
        self._layouts: dict[str, Layout] = {}
        self._beside_id: dict[str, dict[str, int]] = {}
        self.series: list[Series] = []
        self.columns = self._columns()

    def learn(self, known: SeriesSet) -> bool:
        """Take note of a service's series; whether any that is judged is new."""
        new = [s for s in known.series if s.canonical and s.name in self._plan and s.id not in self._row_of]
        if not new:
            return False
        for series in new:
            self._row_of[series.id] = len(self.series)
            self.series.append(series)
            self._names.append(_Names.of(series, self._methods, self._foresees))
            self._method_rows.append(self._rows_for(series))
            if series.name in self._needs and "model" not in series.labels:
                self._beside_id.setdefault(known.service, {})[series.name] = series.id
        self.columns = self._columns()
        self._layouts.pop(known.service, None)
        return True

    def row_of(self, series_id: int) -> int | None:
        """The row of a judged series; None where it is not known, or not judged."""
        return self._row_of.get(series_id)

    def derived(self, service: str) -> SeriesSet:
        """Every series under which judgements of the service are published."""
        return SeriesSet(service, tuple(self._derived(service)))

    def layout(self, tick: Samples) -> Layout:
        """Where the judged readings of this tick lie; kept from tick to tick while the order of series stays."""
        cached = self._layouts.get(tick.service)
        if cached is not None and np.array_equal(cached.series_id, tick.series_id):
            return cached
        ids = tick.series_id.tolist()
        first = {series_id: position for position, series_id in reversed(list(enumerate(ids)))}
        take = sorted(position for series_id, position in first.items() if series_id in self._row_of)
        beside = {}
        for name in self._needs:
            wanted = self._beside_id.get(tick.service, {}).get(name)
            beside[name] = np.full(len(take), ids.index(wanted) if wanted in ids else -1, dtype=np.int64)
        row = np.array([self._row_of[ids[position]] for position in take], dtype=np.int64)
        layout = Layout(tick.series_id, np.array(take, dtype=np.int64), row, beside)
        self._layouts[tick.service] = layout
        return layout

    def _bound(self, series: Series) -> float:
        objective = self._objectives.get(series.service)
        return (
            float("nan")
            if objective is None or "model" in series.labels
            else objective.bounds().get(series.name, float("nan"))
        )

    def _judges(self, series: Series, method: str) -> bool:
        planned = method in self._plan[series.name].methods
        return planned and not (method == "objective" and np.isnan(self._bound(series)))

    def _rows_for(self, series: Series) -> list[int]:
        rows = []
        for column, method in enumerate(self._methods):
            judges = self._judges(series, method)
            rows.append(self._taken[column] if judges else -1)
            self._taken[column] += judges
        return rows

    def _derived(self, service: str) -> Iterable[Series]:
        for series in self.series:
            if series.service != service:
                continue
            if any(self._judges(series, method) for method in self._methods if method not in (*IN_OWN_TERMS, FORECAST)):
                yield from (derived_series(what, series) for what in BAND)
            for method in self._methods:
                if self._judges(series, method):
                    yield derived_series("recwatch_warmup_ratio", series, method)
                    if method != FORECAST:
                        yield derived_series("recwatch_score", series, method)
                    if method in self._foresees:
                        yield from _ahead(self._foresees[method], series, method)

    def _columns(self) -> Columns:
        watches = [self._plan[series.name] for series in self.series]
        methods = len(self._methods)
        return Columns(
            method_row=np.array(self._method_rows, dtype=np.int64).reshape(-1, methods),
            score_id=np.array([names.score for names in self._names], dtype=np.uint64).reshape(-1, methods),
            warmup_id=np.array([names.warmup for names in self._names], dtype=np.uint64).reshape(-1, methods),
            ahead_id=np.array([names.ahead for names in self._names], dtype=np.uint64).reshape(-1, 3 * len(self._foresees)),
            band_id=np.array([names.band for names in self._names], dtype=np.uint64).reshape(-1, 3),
            side=np.array([SIDES[watch.side] for watch in watches]),
            least_change=np.array([watch.least_change for watch in watches]),
            least_change_ratio=np.array([watch.least_change_ratio for watch in watches]),
            bound=np.array([self._bound(series) for series in self.series]),
            limit=np.array([watch.limit for watch in watches]),
            starts_after=np.array([float(watch.starts_after) for watch in watches]),
            starts_at_once=np.array([watch.starts_at_once for watch in watches]),
        )


def _ahead(what: str, series: Series, method: str) -> tuple[Series, ...]:
    """What is foreseen, and both ends of its interval."""
    return tuple(derived_series(f"{what}{end}", series, method) for end in ("", "_lower", "_upper"))
