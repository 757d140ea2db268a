"""What a fault run left in the store and on the bus."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from faults.source import NUMBER
from faults.verdict import Gap
from recwatch.core.bus import Bus, next_offsets
from recwatch.core.clock import Clock
from recwatch.core.errors import RecwatchError, Unavailable
from recwatch.core.event_json import from_json, version_of
from recwatch.core.events import Anomaly, Incident, Mark
from recwatch.core.store.connection import Connection, parse_dsn

HEARD = ("anomalies", "incidents")
HEARD_S = 60.0
_NUMBERS = f"""
    SELECT service, value, count() AS rows FROM samples
    INNER JOIN (SELECT id, service FROM series FINAL WHERE name = '{NUMBER}') AS known ON series_id = known.id
    GROUP BY service, value
"""
_NEWEST = f"""
    SELECT service, max(value) AS number FROM samples
    INNER JOIN (SELECT id, service FROM series FINAL WHERE name = '{NUMBER}') AS known ON series_id = known.id
    GROUP BY service
"""
_DOWN = """
    SELECT service, toUnixTimestamp64Milli(time) AS at_ms FROM samples
    INNER JOIN (SELECT id, service FROM series FINAL WHERE name = 'up') AS known ON series_id = known.id
    WHERE value = 0
"""
_JUDGED = """
    SELECT service, toUnixTimestamp64Milli(max(time)) AS at_ms FROM samples
    INNER JOIN (SELECT id, service FROM series FINAL WHERE name = 'recwatch_score') AS known ON series_id = known.id
    GROUP BY service
"""
_ROWS = "SELECT count() AS rows, uniqExact(series_id, time) AS distinct_rows FROM samples"
_MARKS = "SELECT DISTINCT json FROM events WHERE kind = 'mark'"
_GAP = re.compile(r"\d samples? from (.+) UTC to (.+) UTC were dropped$")
_EVENTS = "SELECT DISTINCT id FROM events WHERE kind IN ('anomaly', 'incident')"


class Findings:
    """What is in the store at `dsn` now. Every method but `answer` and `caught_up` raises Unavailable where it is away."""

    def __init__(self, dsn: str) -> None:
        self._place = parse_dsn(dsn)

    def answer(self) -> bool:
        """Whether the store answers."""
        try:
            self._select("SELECT 1")
        except RecwatchError:
            return False
        return True

    def caught_up(self, numbers: Mapping[str, int], since_ms: int | None) -> bool:
        """Whether of each service a page after these is stored and, unless None, a judgement of a time after `since_ms`."""
        try:
            newest = dict(self._select(_NEWEST))
            judged = dict(self._select(_JUDGED)) if since_ms is not None else {}
        except RecwatchError:
            return False
        stored = all(newest.get(service, 0) > number for service, number in numbers.items())
        return stored and (since_ms is None or all(judged.get(service, 0) > since_ms for service in numbers))

    def numbers(self) -> Mapping[tuple[str, int], int]:
        """How many rows hold each number of a page, by service."""
        return {(service, int(number)): rows for service, number, rows in self._select(_NUMBERS)}

    def rows(self) -> tuple[int, int]:
        """How many samples there are, and how many different ones by series and time."""
        [[rows, distinct]] = self._select(_ROWS)
        return int(rows), int(distinct)

    def down_ms(self) -> Mapping[str, Sequence[int]]:
        """When a scrape failed, by service."""
        down: defaultdict[str, list[int]] = defaultdict(list)
        for service, at_ms in self._select(_DOWN):
            down[service].append(at_ms)
        return down

    def gaps(self) -> Sequence[Gap]:
        """What was dropped, as marks say."""
        marks = (from_json(Mark, text) for [text] in self._select(_MARKS))
        return [gap for mark in marks if (gap := gap_of(mark)) is not None]

    def event_ids(self) -> frozenset[str]:
        """The ids of all anomalies and incidents."""
        return frozenset(id_ for [id_] in self._select(_EVENTS))

    def _select(self, sql: str) -> list[list[Any]]:
        with closing(Connection(self._place)) as store:
            found = store.query(sql)
        rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
        return [[value.decode() if isinstance(value, bytes) else value for value in row] for row in rows]


def gap_of(mark: Mark) -> Gap | None:
    """The gap that a mark names, to the second; None for another mark."""
    if (found := _GAP.search(mark.text)) is None:
        return None
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found.groups())
    return Gap(mark.service, round(start.timestamp() * 1000), round(end.timestamp() * 1000) + 999)


@dataclass(frozen=True, slots=True)
class Heard:
    """The last version of each event on the bus."""

    anomalies: Sequence[Anomaly]
    incidents: Sequence[Incident]


def heard_on(bus: Bus, group: str, clock: Clock) -> Heard:
    """What was published in `HEARD` since the group began."""
    heard: dict[str, dict[str, Any]] = {topic: {} for topic in HEARD}
    until_s = clock.monotonic_s() + HEARD_S
    with closing(bus.subscribe(group, HEARD)) as reader:
        while bus.lag(group) > 0:
            if clock.monotonic_s() > until_s:
                raise Unavailable(f"The events on the bus could not be read within {HEARD_S:.0f} s.")
            if records := reader.poll(1.0):
                reader.commit(next_offsets(records))
            for record in records:
                known = heard[record.topic].setdefault(record.message.id, record.message)
                if version_of(record.message) >= version_of(known):
                    heard[record.topic][record.message.id] = record.message
    return Heard([*heard["anomalies"].values()], [*heard["incidents"].values()])
