"""A served store and a process for each role, on a bus that is there already; and what they left behind, counted."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from cluster.mailbox import Mailbox
from cluster.ports import free_ports
from faults.source import NUMBER, Source
from faults.supervised import Supervised
from faults.verdict import Evidence, Gap, Interruption, Notice
from recwatch.core.bus import Bus, next_offsets
from recwatch.core.bus.registry import open_bus
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import RecwatchError, Unavailable
from recwatch.core.event_json import from_json
from recwatch.core.events import Mark
from recwatch.core.store.connection import PASSWORD_VARIABLE, Connection, parse_dsn

ROLES = ("sink", "detectors", "alerting", "collectors")
"""Those that the promises are about. The sink is first, for it makes the tables."""
STORE = "store"
AUDIT = "audit"
READY_S, STORED_S, BUS_AWAY_S, LOOK_S = 90.0, 90.0, 10.0, 0.25
_NUMBERS = f"""
    SELECT service, value, count() AS rows FROM samples
    INNER JOIN (SELECT id, service FROM series FINAL WHERE name = '{NUMBER}') AS known ON series_id = known.id
    GROUP BY service, value
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


class Deployment:
    """recwatch over `source`. Everything is started by `start` and ended by `stop`, in `folder`."""

    def __init__(self, folder: Path, bus_dsn: str, source: Source) -> None:
        self.folder = folder
        self.source = source
        self.bus_dsn = bus_dsn
        self.processes: dict[str, Supervised] = {}
        self.clock: Clock = SystemClock()
        self._notices: list[Notice] = []
        self._interruptions: list[Interruption] = []
        self._crashes: list[str] = []
        self._mailbox = Mailbox(self._take)
        [self._store_port] = free_ports(1)  # one that nobody takes while the store is away
        self._dsn = f"clickhouse://recwatch@127.0.0.1:{self._store_port}/default"
        self._opened = ExitStack()
        self._opened.callback(self._mailbox.close)
        self._bus: Bus

    @property
    def notices(self) -> Sequence[Notice]:
        return list(self._notices)

    def start(self) -> None:
        """Start the store, then every role; returns once all are ready."""
        (self.folder / "recwatch.yaml").write_text(yaml.safe_dump(self._content()))
        password = self.folder / "store-password"
        os.environ.pop(PASSWORD_VARIABLE, None)
        os.environ[f"{PASSWORD_VARIABLE}_FILE"] = str(password)  # for the roles, and to count in the store
        passwords = ["--password-file", str(password), "--reader-password-file", str(self.folder / "reader-password")]
        serve = ["store", "serve", f"chdb://{self.folder}/chdb", "--port", str(self._store_port), *passwords]
        self._run(STORE, [*recwatch(), *serve])
        self.wait_until(self.answers, "the store answers")
        self._bus = self._opened.enter_context(closing(open_bus(self.bus_dsn, BUS_AWAY_S)))
        self._bus.subscribe(AUDIT, ["anomalies", "incidents"]).close()  # what is published from here on is read at the end
        for role in ROLES:
            self.add(role)
            if role == ROLES[0]:
                self.wait_until(self.processes[role].ready, f"{role} is ready")
        self.wait_until(lambda: all(self.processes[role].ready() for role in ROLES), "all roles are ready")

    def add(self, role: str, name: str = "", command: Sequence[str] = ()) -> Supervised:
        """Start one more process of a role, known as `name`, with the command line's own program unless told otherwise."""
        begin = command or [*recwatch(), "run"]
        return self._run(name or role, [*begin, role, str(self.folder / "recwatch.yaml"), "--port", "0"])

    def kill(self, name: str, **how: float) -> None:
        """Kill a process; whoever looks after it starts it again."""
        self.processes[name].kill(**how)
        if name.startswith("collectors"):
            self.interrupted(self.clock.now_ms())

    def end(self, name: str) -> None:
        """End a process for good, as an orchestrator does."""
        process = self.processes.pop(name)
        begun_ms = self.clock.now_ms()
        process.end()
        self._crashes += [f"{name}: {crash}" for crash in process.crashes]
        if name.startswith("collectors"):
            self.interrupted(begun_ms)

    def interrupted(self, since_ms: int) -> None:
        """Collectors were stopped, or handed services over, between then and now."""
        self._interruptions.append(Interruption(since_ms, self.clock.now_ms()))

    def stop(self) -> None:
        """End what is still there."""
        with self._opened:
            for name in [*reversed(self.processes)]:
                self.processes[name].resume()
                self.end(name)

    def caught_up(self, numbers: Mapping[str, int], since_ms: int | None) -> bool:
        """Whether of each service a page after these is stored and, unless None, a judgement of a time after `since_ms`."""
        stored = self._asked(_NUMBERS)
        if stored is None or not all(
            any(s == service and number > last for s, number, _ in stored) for service, last in numbers.items()
        ):
            return False
        judged = dict(self._asked(_JUDGED) or ()) if since_ms is not None else {}
        return since_ms is None or all(judged.get(service, 0) > since_ms for service in numbers)

    def drained(self) -> bool:
        """Whether the sink has stored all that is on the bus."""
        try:
            return self._bus.lag("sink") == 0
        except Unavailable:
            return False

    def finish(self) -> Evidence:
        """End the collectors and let the others handle all of theirs; then end these, and count what is there."""
        for name in [name for name in self.processes if name.startswith("collectors")]:
            self.end(name)
        self.wait_until(self.drained, "the sink has stored everything", STORED_S)
        for name in [name for name in self.processes if name != STORE]:
            self.end(name)
        heard = self._heard()
        numbers, down, ids = self._rows(_NUMBERS), self._rows(_DOWN), self._rows(_EVENTS)
        [[rows, distinct_rows]] = self._rows(_ROWS)
        gaps = [gap for [text] in self._rows(_MARKS) if (gap := _gap_of(from_json(Mark, text))) is not None]
        self.end(STORE)
        return Evidence(
            served=self.source.served,
            stored={(service, int(number)): count for service, number, count in numbers},
            rows=rows,
            distinct_rows=distinct_rows,
            down_ms={name: [at_ms for service, at_ms in down if service == name] for name in self.source.services},
            interruptions=self._interruptions,
            gaps=gaps,
            anomalies=list(heard["anomalies"].values()),
            incidents=list(heard["incidents"].values()),
            stored_ids=frozenset(id_ for [id_] in ids),
            notices=self.notices,
            crashes=self._crashes,
        )

    def wait_until(self, come: Callable[[], bool], what: str, within_s: float = READY_S) -> float:
        """Wait for it; returns the seconds that it took. Raises Unavailable, with what every process said last."""
        begun_s = self.clock.monotonic_s()
        pause = Event()
        while not come():
            if self.clock.monotonic_s() - begun_s > within_s:
                said = [f"{name}: {line}" for name, process in self.processes.items() for line in process.lines[-4:]]
                raise Unavailable("\n".join([f"Within {within_s:.0f} s this did not happen: {what}.", *said]))
            pause.wait(LOOK_S)
        return self.clock.monotonic_s() - begun_s

    def answers(self) -> bool:
        """Whether the store does."""
        return self._asked("SELECT 1") is not None

    def _asked(self, sql: str) -> list[list[Any]] | None:
        """The rows that the store answers with; None where it cannot."""
        try:
            return self._rows(sql)
        except RecwatchError:
            return None

    def _rows(self, sql: str) -> list[list[Any]]:
        with closing(Connection(parse_dsn(self._dsn))) as store:
            found = store.query(sql)
        rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
        return [[value.decode() if isinstance(value, bytes) else value for value in row] for row in rows]

    def _heard(self) -> dict[str, dict[str, Any]]:
        """The last version of each event on the bus, by topic and id."""
        heard: dict[str, dict[str, Any]] = {"anomalies": {}, "incidents": {}}
        until_s = self.clock.monotonic_s() + READY_S
        with closing(self._bus.subscribe(AUDIT, [*heard])) as reader:
            while self._bus.lag(AUDIT) > 0:
                if self.clock.monotonic_s() > until_s:
                    raise Unavailable(f"The events on the bus could not be read within {READY_S:.0f} s.")
                if records := reader.poll(1.0):
                    reader.commit(next_offsets(records))
                for record in records:
                    heard[record.topic][record.message.id] = record.message
        return heard

    def _run(self, name: str, command: Sequence[str]) -> Supervised:
        home = self.folder / name  # where a collector finds its spool again
        home.mkdir(exist_ok=True)
        self.processes[name] = process = Supervised(name, command, home)
        return process

    def _take(self, told: Mapping[str, Any]) -> None:
        incident = told["incident"]
        self._notices.append(Notice(told["message_id"], told["occasion"], incident["id"], incident["service"]))

    def _content(self) -> Mapping[str, Any]:
        promised = {"latency_p99": "100ms", "errors_ratio": 0.01}
        return {
            "services": [
                {
                    "name": service,
                    "targets": [self.source.url(service)],
                    "scrape_interval": "1s",
                    "scrape_timeout": "1s",
                    "objective": promised,
                }
                for service in self.source.services
            ],
            "bus": self.bus_dsn,
            "store": self._dsn,
            "token_file": str(self.folder / "token"),
            "console": None,
            "notify": [{"type": "webhook", "url": self._mailbox.url}],
        }


def _gap_of(mark: Mark) -> Gap | None:
    """The gap that a mark names, to the second; None for another mark."""
    if (found := _GAP.search(mark.text)) is None:
        return None
    start, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found.groups())
    return Gap(mark.service, round(start.timestamp() * 1000), round(end.timestamp() * 1000) + 999)


def recwatch() -> Sequence[str]:
    """The command line's own program."""
    return [str(Path(sys.executable).with_name("recwatch"))]
