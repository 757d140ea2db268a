"""What a start takes up from the store: the past for whoever looks, and what was open when recwatch last ended.

The embedded bus ends with its process, and a snapshot is up to half a minute older than what was told since. The store knows
more, so that after a crash nothing stays open that nobody would end.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from alerting.stage import AlertingStage
from detectors.stage import DetectorStage
from recwatch.app.live import KINDS, LiveView
from recwatch.app.view import History
from recwatch.core.canonical import DERIVED
from recwatch.core.events import Anomaly, Incident
from recwatch.core.progress import OWN
from recwatch.core.signals import Samples, SeriesSet


def prime(live: LiveView, store: History, services: Collection[str], now_ms: int) -> None:
    """Fill an empty live view with what the store knows of its span, so that a restart shows no gap.

    Of services that are not watched any more, events are taken and series are not. What goes on is taken however long ago it
    began.
    """
    start_ms = now_ms - live.span_ms
    for kind in KINDS:
        for event in (*reversed(store.events(kind, open_only=True)), *reversed(store.events(kind))):
            live.take(event)
    series = [s for s in store.series() if s.service in services and (s.canonical or s.name in DERIVED)]
    for service in services:
        live.take(SeriesSet(service, tuple(s for s in series if s.service == service)))
    for series_id, rows in store.read([s.id for s in series], start_ms, now_ms).items():
        times, values = rows
        live.take(Samples("", "", times, np.full(len(times), series_id, dtype=np.uint64), values))


def resume(
    detection: DetectorStage, alerting: AlertingStage, live: LiveView, services: Collection[str], now_ms: int
) -> None:
    """Let both restored stages take up what a primed live view knows of open anomalies and incidents."""
    others = [incident for incident in live.events(Incident) if incident.service != OWN]
    alerting.adopt(others, live.events(Anomaly), services, now_ms)
    detection.adopt(alerting.open_anomalies(), {service: live.recent.last_ms(service) or 0 for service in services})
