"""What the parts of recwatch have counted since the start, by metric: what telemetry exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from alerting.outbox import Outbox
from collectors.collector import Collector
from collectors.receive import Receiver
from recwatch.app.runner import StageRunner
from recwatch.core.store.sink import Sink


def totals_of(
    runners: Iterable[StageRunner],
    outbox: Outbox,
    sink: Sink,
    collectors: Mapping[str, Collector],
    receiver: Receiver | None,
) -> Mapping[str, Mapping[str, int]]:
    """By metric without `_total`, and by stage, notifier, topic, service or reason."""
    counts = {runner.stage.name: runner.counts for runner in runners}
    scraped = [collector.counters for collector in collectors.values()]
    return {
        "recwatch_stage_records": {name: stage.records for name, stage in counts.items()},
        "recwatch_stage_unavailable": {name: stage.unavailable for name, stage in counts.items()},
        "recwatch_alerts_sent": outbox.alerts_sent,
        "recwatch_alerts_failed": outbox.alerts_failed,
        "recwatch_samples_stored": sink.samples_stored,
        "recwatch_samples_repeated": sink.samples_repeated,
        "recwatch_scrapes_failed": _sum(counters.scrapes_failed for counters in scraped),
        "recwatch_scrapes_missed": {service: collector.scrapes.missed for service, collector in collectors.items()},
        "recwatch_rows_unreadable": _sum(counters.rows_unreadable for counters in scraped),
        "recwatch_received_dropped": {} if receiver is None else receiver.counters.dropped,
    }


def _sum(counted: Iterable[Counter[str]]) -> Counter[str]:
    """The counts of all by reason; each is copied first, since its own thread goes on counting."""
    total: Counter[str] = Counter()
    for one in counted:
        total.update(dict(one))
    return total
