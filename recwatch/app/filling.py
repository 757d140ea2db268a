"""History → the store, stretch by stretch, and from there into what the detectors know."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from collectors.backfill import LONGEST_STEP_MS, Filled, Stretch, filled, filled_signal, stretches
from collectors.config import seconds
from collectors.past import Past, PastSource
from collectors.query_api import QueryApi
from collectors.selector import Selector
from detectors.stage import DetectorStage
from recwatch.app.config import WatchedService
from recwatch.core.canonical import DERIVED, SIGNALS
from recwatch.core.clock import Clock
from recwatch.core.errors import BadInput
from recwatch.core.signals import Series, SeriesSet
from recwatch.core.stage import Snapshot
from recwatch.core.store.database import Store

STEPS_AT_ONCE = 360
"""Of a stretch: at one minute, six hours. A thousand series are then a third of a million values an answer."""
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fill in of a service: series that its canonical signals are made of, and signals that queries give."""

    service: str
    origin: str
    selectors: tuple[Selector, ...]
    signals: Mapping[str, str]
    step_ms: int


def wanted_of(service: WatchedService, origin: str, match: Sequence[str], signals: Sequence[str], step: str) -> Wanted:
    """What is asked for in the words of the command line. Raises BadInput where that cannot be."""
    step_s = seconds(step) or 0.0
    if not 1 <= step_s <= LONGEST_STEP_MS / 1000 or step_s % 1:
        raise BadInput(f"a step of {step} is not between 1s and {LONGEST_STEP_MS // 1000}s")
    selectors = tuple(map(Selector.parse, match)) or service.receive
    named = {name.strip(): query for name, _, query in (one.partition("=") for one in signals)}
    if unknown := sorted(named.keys() - SIGNALS.keys()):
        raise BadInput(f"{unknown} are no canonical signals; they are: {', '.join(SIGNALS)}")
    if not (selectors or named):
        raise BadInput(f"""say which series are those of {service.name}, such as --match '{{job="{service.name}"}}'""")
    if named and not origin.startswith("http"):
        raise BadInput("only a Prometheus answers queries; give its address, or leave --signal out")
    return Wanted(service.name, origin, selectors, named, round(step_s * 1000))


@dataclass(frozen=True, slots=True)
class Plan:
    """From when to when, and how far it has come; kept in the store, so that what was broken off goes on.

    `of` tells what was wanted, `rows` how many of it were stored. `taught` says that the detectors have learnt from it.
    """

    of: str
    start_ms: int
    end_ms: int
    done_ms: int
    rows: int = 0
    taught: bool = False

    @property
    def in_vain(self) -> bool:
        """Whether all of it was asked for, and nothing was there."""
        return self.done_ms == self.end_ms and not self.rows


class Filling:
    """Fills in the history of one service; the store is this process's alone."""

    def __init__(self, store: Store, source: PastSource, wanted: Wanted, clock: Clock) -> None:
        self._store = store
        self._source = source
        self._wanted = wanted
        self._clock = clock
        self._defined: set[Series] = set()

    def plan(self, days: float) -> Plan:
        """What is left of an earlier run that wanted the same; else the days before the oldest sample that is stored.

        Raises BadInput where the service's history was filled in otherwise: its rows would be there twice.
        """
        kept = self._store.load_snapshot(self._snapshot)
        if kept is not None:
            plan = Plan(**json.loads(kept.blob))
            if plan.of == self._identity:
                return plan
            if not plan.in_vain:
                raise BadInput(
                    f"the history of {self._wanted.service} was filled in with {plan.of}; filling it in otherwise, too,"
                    " would double it. Ask for the same, or name a new store"
                )
        return self._begun(days)

    def _begun(self, days: float) -> Plan:
        """A new plan, remembered before anything is stored, for its end is where what is stored begins."""
        step_ms = self._wanted.step_ms
        newest_ms = min(self._clock.now_ms(), self._store.oldest_ms(self._wanted.service) or self._clock.now_ms())
        end_ms = (newest_ms - 1) // step_ms * step_ms
        start_ms = end_ms - round(days * 86_400_000) // step_ms * step_ms
        plan = Plan(self._identity, start_ms, end_ms, start_ms)
        self._remember(plan)
        return plan

    def fill(self, plan: Plan, told: Told) -> Plan:
        """Store what is left. `told` hears, after each stretch, of its steps and the rows that it brought."""
        left = list(stretches(plan.done_ms, plan.end_ms, self._wanted.step_ms, STEPS_AT_ONCE))
        for stretch, found in zip(left, self._ahead(left), strict=True):
            rows = self._keep(stretch, list(self._filled(stretch, found)))
            plan = replace(plan, done_ms=stretch.end_ms, rows=plan.rows + rows)
            self._remember(plan)
            told((stretch.end_ms - stretch.start_ms) // stretch.step_ms, rows)
        return plan

    def teach(self, stage: DetectorStage, plan: Plan, interval_ms: int, told: Told) -> int:
        """Let the detectors learn what is stored of the plan's time, and keep what they know; returns of how many signals.

        Signals that they know from later are left alone. How far readings scatter is kept only if they will come as often.
        Raises BadInput where nothing is stored that signals are made of.
        """
        known = [one for one in self._store.series(self._wanted.service) if one.canonical and one.name not in DERIVED]
        if not known:
            raise BadInput(
                f"nothing was found of which signals of {self._wanted.service} are made, in {self._identity}; "
                "say with --match which series are its own, or give signals with --signal"
            )
        kept = self._store.load_snapshot(stage.name)
        if kept is not None:
            stage.restore(kept.blob)
        for stretch in stretches(plan.start_ms, plan.end_ms, self._wanted.step_ms, STEPS_AT_ONCE):
            ids = [one.id for one in known]
            history = self._store.samples(self._wanted.service, ids, stretch.start_ms + 1, stretch.end_ms)
            stage.learn(SeriesSet(self._wanted.service, tuple(known)), [history])
            told((stretch.end_ms - stretch.start_ms) // stretch.step_ms, len(history))
        if interval_ms != self._wanted.step_ms:
            stage.recalibrate()
        generation = kept.generation if kept else 0
        self._store.save_snapshot(stage.name, Snapshot(stage.snapshot(), self._clock.now_ms(), generation))
        self._remember(replace(plan, taught=True))
        return len(known)

    @property
    def _identity(self) -> str:
        wanted = self._wanted
        parts = [*(selector.text for selector in wanted.selectors), *(f"{k}={v}" for k, v in wanted.signals.items())]
        return f"{wanted.origin} every {wanted.step_ms / 1000:g} s: {' '.join(parts)}"

    @property
    def _snapshot(self) -> str:
        return f"backfill {self._wanted.service}"

    def _remember(self, plan: Plan) -> None:
        self._store.save_snapshot(self._snapshot, Snapshot(json.dumps(asdict(plan)).encode(), self._clock.now_ms()))

    def _ahead(self, left: Sequence[Stretch]) -> Iterator[Mapping[str, Past]]:
        """What each stretch is made of; while one is worked on, the next is fetched."""
        with ThreadPoolExecutor(1) as fetching:
            coming = deque(fetching.submit(self._fetch, stretch) for stretch in left[:1])
            for following in left[1:]:
                found = coming.popleft().result()
                coming.append(fetching.submit(self._fetch, following))
                yield found
            yield from (last.result() for last in coming)

    def _fetch(self, stretch: Stretch) -> Mapping[str, Past]:
        """The past of each signal that a query gives, and under "" that of the series."""
        found = {}
        if self._wanted.selectors:
            found[""] = self._source.select(self._wanted.selectors, stretch.times(lead_in=True))
        if isinstance(self._source, QueryApi):
            found |= {name: self._source.query(query, stretch.times()) for name, query in self._wanted.signals.items()}
        return found

    def _filled(self, stretch: Stretch, found: Mapping[str, Past]) -> Iterator[Filled]:
        for name, past in found.items():
            service = self._wanted.service
            yield filled_signal(service, name, past, stretch) if name else filled(service, past, stretch)

    def _keep(self, stretch: Stretch, parts: Sequence[Filled]) -> int:
        """Store a stretch at once; a second time stores nothing, whatever became of this process after the first."""
        series = {one for part in parts for one in part.series.series} - self._defined
        self._store.write_series(series)
        self._defined |= series
        samples = [samples for part in parts for samples in part.samples]
        token = f"{self._snapshot} {self._identity} {stretch.start_ms}-{stretch.end_ms}"
        self._store.write_samples(samples, token)
        return sum(map(len, samples))
