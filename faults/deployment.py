"""A served store and a process for each role, on a bus that is there already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from cluster.mailbox import Mailbox
from cluster.ports import free_ports
from cluster.program import PROGRAM, ServedStore, role_command
from faults.findings import HEARD, Findings, heard_on
from faults.source import Source
from faults.supervised import Supervised
from faults.verdict import Evidence, Interruption, Notice
from recwatch.core.bus import Bus
from recwatch.core.bus.registry import open_bus
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import Unavailable

STARTS = (("sink", "detectors", "alerting"), ("collectors",))
"""The roles that the promises are about. Collectors start once all who read what they publish have joined."""
ROLES = tuple(role for together in STARTS for role in together)
STORE = "store"
AUDIT = "audit"
READY_S, STORED_S, BUS_AWAY_S, LOOK_S = 90.0, 90.0, 10.0, 0.25


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
        self._store = ServedStore(folder, *free_ports(1))  # on one that nobody takes while it is away
        self.findings = Findings(self._store.dsn)
        self._opened = ExitStack()
        self._opened.callback(self._mailbox.close)
        self._bus: Bus

    @property
    def notices(self) -> Sequence[Notice]:
        return list(self._notices)

    def start(self) -> None:
        """Start the store, then every role; returns once all are ready."""
        (self.folder / "recwatch.yaml").write_text(yaml.safe_dump(self._content()))
        self._opened.enter_context(self._store.password_known())  # to the roles, and to count in the store
        self._run(STORE, self._store.command)
        self.wait_until(self.findings.answer, "the store answers")
        self._bus = self._opened.enter_context(closing(open_bus(self.bus_dsn, BUS_AWAY_S)))
        self._bus.subscribe(AUDIT, HEARD).close()  # what is published from here on is read at the end
        for together in STARTS:
            for role in together:
                self.add(role)
            self.wait_until(
                lambda: all(process.ready() for name, process in self.processes.items() if name != STORE), "all are ready"
            )

    def add(self, role: str, name: str = "", program: Sequence[str] = PROGRAM) -> Supervised:
        """Start one more process of a role, known as `name`."""
        file = self._home(name or role) / "recwatch.yaml"  # a collector finds its spool again beside it
        if not file.exists():
            file.symlink_to(self.folder / "recwatch.yaml")
        return self._run(name or role, role_command(role, file, program))

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

    def finish(self) -> Evidence:
        """End all but the store, each once it has nothing left to hand on; and tell what is there."""
        collectors = [name for name in self.processes if name.startswith("collectors")]
        for name in (*collectors, "detectors", "alerting"):
            self.end(name)
        self.wait_until(self._drained, "the sink has stored everything", STORED_S)
        self.end("sink")
        rows, distinct_rows = self.findings.rows()
        heard = heard_on(self._bus, AUDIT, self.clock)
        return Evidence(
            served=self.source.served,
            stored=self.findings.numbers(),
            rows=rows,
            distinct_rows=distinct_rows,
            down_ms=self.findings.down_ms(),
            interruptions=self._interruptions,
            gaps=self.findings.gaps(),
            anomalies=heard.anomalies,
            incidents=heard.incidents,
            stored_ids=self.findings.event_ids(),
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

    def _drained(self) -> bool:
        """Whether the sink has stored all that is on the bus."""
        try:
            return self._bus.lag("sink") == 0
        except Unavailable:
            return False

    def _run(self, name: str, command: Sequence[str]) -> Supervised:
        self.processes[name] = process = Supervised(name, command, self._home(name))
        return process

    def _home(self, name: str) -> Path:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return home

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
            "store": self._store.dsn,
            "token_file": str(self.folder / "token"),
            "console": None,
            "notify": [{"type": "webhook", "url": self._mailbox.url}],
        }
