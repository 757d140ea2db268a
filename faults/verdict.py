"""What was served, stored, raised and sent → which promises were kept. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from faults.source import Page
from recwatch.core.events import Anomaly, Incident
from recwatch.core.progress import OWN
from recwatch.core.wording import counted

INTERVAL_MS = 1000
SLACK_MS = 300
"""How much later than it was taken a page may count as served, on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """From when to when collectors were killed, or handed services over to each other."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Gap:
    """What a mark says: from when to when samples of a service were dropped."""

    service: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that came: its id, why it was sent, and about which incident of which service."""

    id: str
    occasion: str
    incident: str
    service: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a run left behind.

    `stored` holds, by service and number of the page, how many rows say so; `rows` and `distinct_rows` are of the whole
    store; `down_ms` is, by service, when a scrape failed, as the collectors say; `anomalies` and `incidents` are the last
    version of each id on the bus, `stored_ids` the ids in the store; `crashes` are ends nobody asked for.
    """

    served: Sequence[Page]
    stored: Mapping[tuple[str, int], int]
    rows: int
    distinct_rows: int
    down_ms: Mapping[str, Sequence[int]]
    interruptions: Sequence[Interruption]
    gaps: Sequence[Gap]
    anomalies: Sequence[Anomaly]
    incidents: Sequence[Incident]
    stored_ids: frozenset[str]
    notices: Sequence[Notice]
    crashes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts, and a sentence for every promise that was broken.

    `served` pages were stored but for `lost` ones; not lost are those of scrapes that `failed`, those in gaps that are
    `marked`, and what a collector had `in_hand` when it was interrupted: one page of each service at most. `again` are
    messages sent again under their id.
    """

    served: int
    lost: int
    doubled: int
    in_hand: int
    failed: int
    marked: int
    anomalies: int
    incidents: int
    messages: int
    again: int
    broken: Sequence[str]


def judge(evidence: Evidence, regressed: Sequence[str]) -> Verdict:
    """Judge a run in which the services `regressed`, and no others, were in trouble, once each and to the end."""
    missing = [page for page in evidence.served if not evidence.stored.get((page.service, page.number))]
    failed = [page for page in missing if _failed(page, evidence.down_ms.get(page.service, ()))]
    marked = [page for page in missing if page not in failed and _marked(page, evidence.gaps)]
    in_hand = _in_hand([page for page in missing if page not in failed and page not in marked], evidence.interruptions)
    lost = [page for page in missing if page not in failed and page not in marked and page not in in_hand]
    doubled = evidence.rows - evidence.distinct_rows
    sent = Counter(notice.id for notice in evidence.notices)
    broken = []
    if lost:
        broken.append(f"{counted(len(lost), 'page')} lost, such as {_named(lost)}")
    if doubled:
        broken.append(f"{counted(doubled, 'row')} doubled")
    broken += [*_raised_wrongly(evidence, regressed), *_sent_wrongly(evidence.notices, regressed), *evidence.crashes]
    return Verdict(
        len(evidence.served),
        len(lost),
        doubled,
        len(in_hand),
        len(failed),
        len(marked),
        len(evidence.anomalies),
        len(evidence.incidents),
        len(sent),
        sent.total() - len(sent),
        broken,
    )


def _failed(page: Page, down_ms: Sequence[int]) -> bool:
    """Whether the collectors say that the scrape which this page answered failed; it began less than a time-out before."""
    return any(page.time_ms - INTERVAL_MS - SLACK_MS <= at_ms <= page.time_ms + SLACK_MS for at_ms in down_ms)


def _marked(page: Page, gaps: Sequence[Gap]) -> bool:
    """Whether a mark names its absence; the samples of a page are of the time at which its scrape began."""
    return any(
        gap.service == page.service and gap.start_ms <= page.time_ms <= gap.end_ms + INTERVAL_MS + SLACK_MS for gap in gaps
    )


def _in_hand(missing: Sequence[Page], interruptions: Sequence[Interruption]) -> set[Page]:
    """Pages served in the interval before an interruption, or while it lasted; of each service one for each interruption."""
    found: set[Page] = set()
    for interruption in interruptions:
        last: dict[str, Page] = {}
        for page in missing:
            if interruption.start_ms - INTERVAL_MS - SLACK_MS <= page.time_ms <= interruption.end_ms + SLACK_MS:
                last[page.service] = page
        found.update(last.values())
    return found


def _named(pages: Sequence[Page]) -> str:
    return ", ".join(f"{page.service} {page.number}" for page in pages[:5])


def _raised_wrongly(evidence: Evidence, regressed: Sequence[str]) -> Iterator[str]:
    for first, second in _overlapping(evidence.anomalies):
        yield f"{first.series} was raised twice by {first.method}: from {first.start_ms} and from {second.start_ms}"
    raised = Counter(incident.service for incident in evidence.incidents if incident.service != OWN)
    for service in sorted({*regressed, *raised}):
        if (count := raised[service]) != (wanted := int(service in regressed)):
            yield f"{service} had {counted(count, 'incident')}, not {wanted}"
    ids = {anomaly.id for anomaly in evidence.anomalies} | {incident.id for incident in evidence.incidents}
    if ids != evidence.stored_ids:
        yield f"{counted(len(ids ^ evidence.stored_ids), 'event')} of {len(ids)} on the bus or in the store, not in both"


def _overlapping(anomalies: Sequence[Anomaly]) -> Iterator[tuple[Anomaly, Anomaly]]:
    """Anomalies of one series and method of which the second began before the first had ended."""
    found = defaultdict(list)
    for anomaly in anomalies:
        found[anomaly.series_id, anomaly.method].append(anomaly)
    for series in found.values():
        for first, second in pairwise(sorted(series, key=lambda anomaly: anomaly.start_ms)):
            if first.end_ms is None or second.start_ms <= first.end_ms:
                yield first, second


def _sent_wrongly(notices: Sequence[Notice], regressed: Sequence[str]) -> Iterator[str]:
    distinct = {notice.id: notice for notice in notices}.values()
    opened = Counter(notice.service for notice in distinct if notice.occasion == "open" and notice.service != OWN)
    for service in sorted({*regressed, *opened}):
        if (count := opened[service]) != (wanted := int(service in regressed)):
            yield f"of {service} {counted(count, 'message')} said that it is in trouble, not {wanted}"
    occasions = Counter((notice.incident, notice.occasion) for notice in distinct)
    for (incident, occasion), count in occasions.items():
        if count > 1 and occasion != "resolved":
            yield f"incident {incident} had {count} different messages on occasion '{occasion}'"
