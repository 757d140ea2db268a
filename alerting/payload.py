"""Message → the JSON that machines read, version 1. Golden file: tests/alerting/golden/webhook_v1.json.

Fields are only ever added within a version. Times are RFC 3339 in UTC with milliseconds. `occasion` says why this message
was sent; `incident` is the whole of what is known now, so the last message alone suffices. At most 20 anomalies are listed,
those that users feel first; `anomalies_total` counts all.
"""

from __future__ import annotations

import json
from typing import Any

from alerting.grouping import user_facing
from alerting.message import Message
from recwatch.core.events import Anomaly, Evidence, Incident, Mark, RankedCause
from recwatch.core.wording import clean, rfc3339

VERSION = "1"
MOST_ANOMALIES = 20


def body_of(message: Message) -> bytes:
    """The JSON body, UTF-8, keys in a fixed order."""
    incident = message.incident
    told = {
        "version": VERSION,
        "message_id": message.id,
        "occasion": message.occasion,
        "sent_at": rfc3339(message.time_ms),
        "subject": message.subject,
        "text": message.text,
        "console_url": message.link or None,
        "incident": _incident(incident),
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _incident(incident: Incident) -> dict[str, Any]:
    felt_first = sorted(incident.anomalies, key=lambda a: (not user_facing(a), a.start_ms, a.id))
    return {
        "id": incident.id,
        "service": clean(incident.service),
        "state": incident.state,
        "severity": incident.severity,
        "title": incident.title,
        "started_at": rfc3339(incident.start_ms),
        "ended_at": None if incident.end_ms is None else rfc3339(incident.end_ms),
        "cause": incident.cause.value,
        "causes": [_cause(c) for c in incident.causes],
        "shifts": [_evidence(e) for e in incident.shifts],
        "marks": [_mark(m) for m in incident.marks],
        "anomalies": [_anomaly(a) for a in felt_first[:MOST_ANOMALIES]],
        "anomalies_total": len(incident.anomalies),
    }


def _cause(ranked: RankedCause) -> dict[str, Any]:
    return {
        "cause": ranked.cause.value,
        "confidence": ranked.confidence,
        "evidence": [_evidence(e) for e in ranked.evidence],
    }


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "text": clean(evidence.text),
        "series": clean(evidence.series),
        "value": evidence.value,
        "expected": evidence.expected,
    }


def _mark(mark: Mark) -> dict[str, Any]:
    return {"kind": mark.kind, "at": rfc3339(mark.time_ms), "text": clean(mark.text), "by": clean(mark.by)}


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    return {
        "series": clean(anomaly.series),
        "method": clean(anomaly.method),
        "started_at": rfc3339(anomaly.start_ms),
        "ended_at": None if anomaly.end_ms is None else rfc3339(anomaly.end_ms),
        "direction": anomaly.direction,
        "peak_score": anomaly.peak_score,
        "reason": clean(anomaly.reason),
    }
