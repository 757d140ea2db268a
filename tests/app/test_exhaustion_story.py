"""A disk that fills, from the trend to the page: what detectors and alerting make of it together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from alerting.message import message_of
from alerting.stage import AlertingStage
from detectors.stage import DetectorStage
from recwatch.core.bus import Record
from recwatch.core.canonical import canonical_series
from recwatch.core.events import Anomaly, Cause, Incident
from recwatch.core.objective import Objective
from recwatch.core.signals import Samples, SeriesSet

GIB = 2.0**30
STEP_S = 10
FULL_S = 5 * 3600
DATA, ROOT = (canonical_series("shop", "host_filesystem_available_bytes", {"mountpoint": at}) for at in ("/data", "/"))
REQUESTS, ERRORS = canonical_series("shop", "requests_per_second"), canonical_series("shop", "errors_ratio")
KNOWN = SeriesSet("shop", (REQUESTS, ERRORS, DATA, ROOT))


def ticks(until_s: int) -> Iterator[Samples]:
    """Thirty GiB that are written within three hours, and from then on requests that fail."""
    noise = np.random.default_rng(0)
    for second in range(0, until_s, STEP_S):
        left = min(30.0, max(0.0, 10.0 * (FULL_S - second) / 3600.0))
        failing = 0.3 + 0.02 * noise.standard_normal() if second >= FULL_S else 0.0
        readings = {REQUESTS: 110.0 + noise.standard_normal(), ERRORS: failing, DATA: left * GIB, ROOT: 50.0 * GIB}
        yield Samples.of("shop", "", 1000 * second, {series.id: value for series, value in readings.items()})


def test_a_disk_that_fills_is_evidence_for_hours_and_the_cause_once_users_feel_it() -> None:
    objective = {"shop": Objective(latency_p99_seconds=0.15, errors_ratio=0.01)}
    detectors, alerting = DetectorStage(objective), AlertingStage(objective)
    anomalies: list[Anomaly] = []
    incidents: list[Incident] = []
    records = [Record("series", 0, 0, "shop", KNOWN)]
    for samples in ticks(FULL_S + 60):
        records.append(Record("samples", 0, 0, "shop", samples))
        now_ms = int(samples.time_ms.max())
        told = [o.message for o in detectors.process(records, now_ms) if o.topic == "anomalies"]
        anomalies += told
        heard = [*records, *(Record("anomalies", 0, 0, "shop", one) for one in told)]
        incidents += [o.message for o in alerting.process(heard, now_ms)]
        records = []

    trend = anomalies[0]
    assert (trend.method, trend.series, trend.end_ms) == ("exhaustion", DATA.key, None)
    assert FULL_S - 3 * 3600 < trend.start_ms / 1000 < FULL_S - 2 * 3600
    assert incidents[0].start_ms >= 1000 * FULL_S
    latest = incidents[-1]
    assert (latest.cause, latest.severity, latest.state) == (Cause.DISK_PRESSURE, "page", "open")
    assert trend.id in {one.id for one in latest.anomalies if one.end_ms is None}
    assert trend.reason == (
        "disk space available (mountpoint /data) 22.3 GiB, falling by 9.98 GiB an hour: "
        "at 0 MiB in 2 h 14 min (2 h 14 min to 2 h 21 min) if its trend goes on"
    )
    text = message_of(latest, "open", latest.start_ms).text
    assert "- disk space available (mountpoint /data) 0 MiB, was " in text
