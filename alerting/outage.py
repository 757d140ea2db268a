"""Lost targets and what else users feel are different events, so that a dead target mutes nothing. Pure.

Targets lost during an incident are part of it. But an incident left with lost targets alone becomes an outage of its own
once something else is felt: it goes on beside the next incident, and takes up nothing but targets from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf

from alerting.grouping import GroupingConfig, opens_incident, signal_of, unanswered
from recwatch.core.events import Anomaly, Incident


def of_targets(anomaly: Anomaly) -> bool:
    """Whether it is targets that are lost, rather than answers that are slow, wrong or missing.

    >>> of_targets(Anomaly("1", "shop", "7", 'targets_up_ratio{service="shop"}', "z", 0, None, 1, "below", 0, 1, ""))
    True
    """
    return signal_of(anomaly) == "targets_up_ratio"


def is_outage(incident: Incident) -> bool:
    """Whether lost targets are among the incident's anomalies."""
    return any(of_targets(a) for a in incident.anomalies)


def left_alone(incident: Incident, known: Iterable[Anomaly], now_ms: int, config: GroupingConfig) -> Incident | None:
    """The incident as an outage of its own, if users now feel something that began apart from it; else None.

    Apart is what began after the incident's start, and `reopen_within_s` after the end of all else that users felt in it.
    Answers that stay away from before the targets count as lost are of the same event. Of a resolved incident only what
    would open it again is of interest.
    """
    if not is_outage(incident):
        return None
    reopens_until_ms = inf if incident.end_ms is None else incident.end_ms + config.reopen_within_s * 1000
    found = {a.id: a for a in (*incident.anomalies, *known) if not of_targets(a)}
    lasting = (a for a in found.values() if a.end_ms is None or a.end_ms > incident.start_ms)
    felt = (a for a in lasting if opens_incident(a, now_ms, config))
    ended_ms = within_ms = incident.start_ms
    for a in sorted(felt, key=lambda a: a.start_ms):
        crash_ms = incident.start_ms + config.targets_down_after_s * 1000 if unanswered(a) else 0
        if a.start_ms > max(within_ms, crash_ms):
            return _alone(incident, ended_ms) if a.start_ms <= reopens_until_ms else None
        if a.end_ms is None:
            return None
        ended_ms = max(ended_ms, a.end_ms)
        within_ms = ended_ms + round(config.reopen_within_s * 1000)
    return None


def _alone(incident: Incident, ended_ms: int) -> Incident:
    """Without what may belong to the incident beside it."""
    own = (a for a in incident.anomalies if of_targets(a) or (a.end_ms is not None and a.end_ms <= ended_ms))
    return replace(incident, anomalies=tuple(own))


def split(outage: Incident, beside: Incident | None, known: Iterable[Anomaly]) -> tuple[list[Anomaly], list[Anomaly]]:
    """What the outage may take up, its targets; and what the incident beside it may be about, all the rest.

    Before there is one beside it, what was over when the outage was left alone is of earlier incidents.
    """
    known = tuple(known)
    since_ms = max([outage.start_ms, *(a.end_ms or 0 for a in outage.anomalies if not of_targets(a))])
    rest = [a for a in known if not of_targets(a)]
    if beside is None:
        rest = [a for a in rest if a.end_ms is None or a.end_ms > since_ms]
    return [a for a in known if of_targets(a)], rest
