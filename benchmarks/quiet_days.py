"""How often a service that is well would page: its days through detectors and alerting, as they run live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alerting.stage import AlertingStage
from benchmarks.report import Row
from benchmarks.simulated_days import MINUTES_A_DAY, STEP_S, Days
from detectors.latency_given_load import CACHE, LOAD
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Incident
from recwatch.core.signals import Samples, SeriesSet

SIGNALS = (LOAD, CACHE, "latency_mean_seconds")
QUIET_DAYS = 10
"""No regression begins earlier."""


def quiet_days(worlds: Sequence[Sequence[Days]]) -> list[Row]:
    """Anomalies a series-day and incidents a service-day before any regression begins, the first day left out.

    They are not all false: after a deploy the cache is cold, and latency doubles for some minutes.
    """
    days = {f"shop-{number}": run[0] for number, run in enumerate(worlds)}
    detection, alerting = DetectorStage({}), AlertingStage({})
    known = [SeriesSet(service, tuple(canonical_series(service, name) for name in SIGNALS)) for service in days]
    records = [Record("series", 0, 0, one.service, one) for one in known]
    detection.process(records, now_ms=0)
    alerting.process(records, now_ms=0)
    anomalies, incidents, pages = set(), set(), set()
    for minute, ticks in enumerate(_ticks(days)):
        now_ms = round(1000 * STEP_S * minute)
        told = detection.process(ticks, now_ms)
        found = [Record(out.topic, 0, 0, out.key, out.message) for out in told if out.topic == "anomalies"]
        opened = [out.message for out in alerting.process([*ticks, *found], now_ms) if isinstance(out.message, Incident)]
        if minute >= MINUTES_A_DAY:
            anomalies |= {one.message.id for one in found if one.message.end_ms is None}
            incidents |= {one.id for one in opened}
            pages |= {one.id for one in opened if one.severity == "page"}
    counted = len(days) * (QUIET_DAYS - 1)
    return [
        Row("a service that is well: anomalies", len(anomalies) / (counted * len(SIGNALS)), "a series-day"),
        Row("a service that is well: incidents", len(incidents) / counted, "a service-day"),
        Row("a service that is well: incidents that page", len(pages) / counted, "a service-day"),
    ]


def _ticks(days: dict[str, Days]) -> Iterator[list[Record]]:
    ids = {service: [canonical_series(service, name).id for name in SIGNALS] for service in days}
    for minute in range(QUIET_DAYS * MINUTES_A_DAY):
        time_ms = round(1000 * STEP_S * minute)
        readings = {service: [float(getattr(one, name)[minute]) for name in SIGNALS] for service, one in days.items()}
        yield [
            Record("samples", 0, 0, service, Samples.of(service, "", time_ms, dict(zip(ids[service], values, strict=True))))
            for service, values in readings.items()
        ]
