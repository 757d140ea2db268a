"""The canonical signals and judgements as Prometheus gauges, so that a Prometheus that scrapes recwatch feeds a wall.

A canonical signal `queue_depth` is exported as `recwatch_queue_depth`, a judgement of it as
`recwatch_expected{signal="queue_depth"}`, each with the labels that it carries. What is no longer reported is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from recwatch.app.handled import Handled
from recwatch.client import ServiceStatus
from recwatch.core.canonical import DERIVED, SIGNALS
from recwatch.core.errors import Unavailable
from recwatch.core.events import Anomaly, Incident
from recwatch.core.proposals import Proposal
from recwatch.core.signals import Series

if TYPE_CHECKING:
    from recwatch.app.view import ApiView

_JUDGEMENTS = {
    "recwatch_expected": "Value that was expected of a signal, in the signal's unit.",
    "recwatch_lower": "Lower edge of the band of a signal, in the signal's unit.",
    "recwatch_upper": "Upper edge of the band of a signal, in the signal's unit.",
    "recwatch_score": "How abnormal a signal is: 0 as expected, 1 at the edge of alarm.",
    "recwatch_warmup_ratio": "How much of its warm-up a method has seen.",
    "recwatch_forecast": "What a signal will be ten minutes from now, in the signal's unit.",
    "recwatch_forecast_lower": "Lower end of the interval of the forecast.",
    "recwatch_forecast_upper": "Upper end of the interval of the forecast.",
    "recwatch_exhaustion_seconds": "Seconds until what a signal measures is used up, by its trend.",
    "recwatch_exhaustion_seconds_lower": "Lower end of the interval of these seconds.",
    "recwatch_exhaustion_seconds_upper": "Upper end of the interval of these seconds.",
}
_COUNTS = {
    "recwatch_incidents_open": "Open incidents.",
    "recwatch_anomalies_open": "Anomalies that have not ended.",
    "recwatch_proposals": "Proposals in memory, by state.",
    "recwatch_target_up": "Whether a target answers scrapes.",
    "recwatch_objective_unmeasured": "1 where a signal of the objective was not measured in the last scrapes, else 0.",
}
_TOTALS = {
    "recwatch_stage_records": ("stage", "Records that a stage has handled."),
    "recwatch_stage_published": ("stage", "Messages that a stage has published."),
    "recwatch_stage_unavailable": ("stage", "Times that a stage found the world unavailable, and tries again."),
    "recwatch_alerts_sent": ("notifier", "Messages that a notifier has accepted."),
    "recwatch_alerts_failed": ("notifier", "Messages that were dropped: refused, or tried too often."),
    "recwatch_scrapes_failed": ("reason", "Scrapes that brought no page that can be used."),
    "recwatch_scrapes_missed": ("service", "Scrapes that were due while the one before went on, or whose page nobody took."),
    "recwatch_rows_unreadable": ("reason", "Rows of scraped pages that cannot be read."),
    "recwatch_received_dropped": ("reason", "Rows that a Prometheus sent and recwatch did not take in."),
    "recwatch_samples_published": ("service", "Samples that collectors have published."),
    "recwatch_samples_stored": ("topic", "Samples that the store has taken."),
    "recwatch_samples_repeated": ("topic", "Samples that came twice from the bus and were stored once."),
    "recwatch_spool_samples": ("service", "Samples that had to wait on disk because the bus did not take them."),
    "recwatch_spool_dropped_samples": ("service", "Samples that were dropped because the spool had no room."),
    "recwatch_ranges_replayed": ("stage", "Ranges of records that an earlier owner had begun to store, stored anew."),
    "recwatch_records_repeated": ("stage", "Records that came again and were ignored."),
    "recwatch_rebalances": ("stage", "Times that a stage was given partitions to read."),
}
_LAG, _DELAY = "recwatch_lag_records", "recwatch_delay_seconds"
LEAST_STALE_MS = 15_000


def metric_names() -> frozenset[str]:
    """Every metric that these collectors may export."""
    totals = (f"{name}_total" for name in _TOTALS)
    return frozenset({*(f"recwatch_{name}" for name in SIGNALS), *_JUDGEMENTS, *_COUNTS, *totals, _LAG, _DELAY})


class TotalCollector(Collector):
    """Collects what the parts of recwatch count: by name of the metric without `_total`, then by stage and so on."""

    def __init__(self, totals: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        self._totals = totals

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        for name, counted in self._totals().items():
            label, help_text = _TOTALS[name]
            family = CounterMetricFamily(name, help_text, labels=(label,))
            for of, count in sorted(dict(counted).items()):
                family.add_metric((of,), count)
            yield family


class LagCollector(Collector):
    """Collects how far behind the groups and stages of this process are. While the bus is away, no lag is known."""

    def __init__(
        self, lag: Callable[[str], int], groups: Callable[[], Iterable[str]], handled: Callable[[], Mapping[str, Handled]]
    ) -> None:
        self._lag = lag
        self._groups = groups
        self._handled = handled

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(_LAG, "Records on the bus that a group has not committed yet.", labels=("group",))
        with suppress(Unavailable):
            for group in self._groups():
                lag.add_metric((group,), self._lag(group))
        yield lag
        text = "From the time of a batch's newest sample until a stage had handled it."
        delay = HistogramMetricFamily(_DELAY, text, labels=("stage",))
        for stage, handled in self._handled().items():
            delay.add_metric((stage,), handled.delays(), handled.delay_sum_s)
        yield delay


class ObjectiveCollector(Collector):
    """Collects, for each signal of each service's objective, whether it is measured at all."""

    def __init__(self, services: Callable[[], Iterable[ServiceStatus]]) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        name = "recwatch_objective_unmeasured"
        family = GaugeMetricFamily(name, _COUNTS[name], labels=("service", "signal"))
        for service in self._services():
            for signal in service.objective.bounds() if service.objective else ():
                family.add_metric((service.name, signal), float(signal in service.unmeasured))
        yield family


class SignalCollector(Collector):
    """Collects what the API knows. What was not heard of for fifteen seconds, and a few of its intervals, is left out."""

    def __init__(self, view: ApiView) -> None:
        self._view = view
        self._live = view.live

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        known = [series for series in self._live.recent.series() if series.name in SIGNALS or series.name in DERIVED]
        now_ms = self._view.clock.now_ms()
        services = {series.service for series in known}
        since_ms = {service: now_ms - max(LEAST_STALE_MS, self._view.stale_after_ms(service)) for service in services}
        for series in known:
            self._add(families, series, since_ms[series.service])
        yield from families.values()
        yield from self._counts()

    def _add(self, families: dict[str, Metric], series: Series, since_ms: int) -> None:
        last = self._live.recent.last(series.id)
        if last is None or last[0] < since_ms:
            return
        name, help_text = _exported(series.name)
        family = families.setdefault(name, GaugeMetricFamily(name, help_text))
        family.add_sample(name, dict(series.labels), last[1])

    def _counts(self) -> Iterator[Metric]:
        open_incidents = [i for i in self._live.events(Incident) if i.state == "open"]
        yield _counted(
            "recwatch_incidents_open",
            ("service", "cause", "severity"),
            ((i.service, str(i.cause), i.severity) for i in open_incidents),
        )
        open_anomalies = [a for a in self._live.events(Anomaly) if a.end_ms is None]
        yield _counted("recwatch_anomalies_open", ("service",), ((a.service,) for a in open_anomalies))
        proposals = self._live.events(Proposal)
        yield _counted("recwatch_proposals", ("service", "state"), ((p.service, p.state) for p in proposals))
        up = GaugeMetricFamily("recwatch_target_up", _COUNTS["recwatch_target_up"], labels=("service", "url"))
        for target in self._view.targets():
            if target.up is not None:
                up.add_metric((target.service, target.url), float(target.up))
        yield up


def _exported(name: str) -> tuple[str, str]:
    return (name, _JUDGEMENTS[name]) if name in DERIVED else (f"recwatch_{name}", SIGNALS[name].help)


def _counted(name: str, labels: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Metric:
    family = GaugeMetricFamily(name, _COUNTS[name], labels=labels)
    for values, count in sorted(Counter(rows).items()):
        family.add_metric(values, count)
    return family
