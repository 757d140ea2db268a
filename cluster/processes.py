"""recwatch as many processes: the embedded engine served, and one process for every role, joined by Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Event

import yaml

from cluster.mailbox import Mailbox
from cluster.ports import free_ports
from cluster.program import Answering, ServedStore, role_command
from recwatch.app.cast import Inbox
from recwatch.app.demo import Content
from recwatch.app.report import Counts
from recwatch.core.bus.registry import open_bus
from recwatch.core.canonical import DERIVED
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import Unavailable
from recwatch.core.store.connection import Connection, parse_dsn

STARTS = (("sink", "detectors", "alerting", "tuning", "api", "console"), ("collectors",))
"""Who starts together. The collectors are last, so that none of the starts is scraped."""
STORE = "store"
READY_S, DRAINED_S, STORED_S = 60.0, 10.0, 30.0
AUDIT = "audit"
SCRAPED_ROWS = """
    SELECT count() AS rows FROM samples
    WHERE series_id NOT IN (SELECT id FROM series WHERE has({derived:Array(String)}, name))
"""


class Processes:
    """A monitor for the demo's story. What was scraped and stored it counts on the bus and in the store themselves.

    `processes` are those that run, by role, and the served store.
    """

    def __init__(self, bus_dsn: str, content: Content, folder: Path, inbox: Inbox) -> None:
        self.processes: dict[str, Answering] = {}
        self._clock: Clock = SystemClock()
        self._folder = folder
        self._inbox = inbox
        self._mailbox = Mailbox(lambda told: inbox.take(told["incident"]["id"], told["text"]))
        store_port, api_port = free_ports(2)
        self._api_url = f"http://127.0.0.1:{api_port}"
        self._bus_dsn = bus_dsn
        self._store = ServedStore(folder, store_port)
        self._content = {
            **content,
            "bus": bus_dsn,
            "store": self._store.dsn,
            "api": {"port": api_port},
            "notify": [{"type": "webhook", "url": self._mailbox.url}],
        }
        self._running = ExitStack()
        self._running.callback(self._mailbox.close)
        self._last_counts: Counts | None = None

    @property
    def addresses(self) -> Mapping[str, str]:
        console = self._content["console"]
        shown = {"console": f"http://127.0.0.1:{console['port']}"} if console else {}
        return shown | {"API": self._api_url, "metrics": f"{self._api_url}/metrics"}

    def start(self) -> None:
        file = self._folder / "recwatch.yaml"
        file.write_text(yaml.safe_dump(self._content))
        self._running.enter_context(self._store.password_known())  # to the roles, and to count in the store
        self._start(STORE, self._store.command)
        self._await("the store answers", partial(self.processes[STORE].answers, "/ping"))
        self._bus = self._running.enter_context(closing(open_bus(self._bus_dsn, READY_S)))
        self._bus.subscribe(AUDIT, ["samples"]).close()  # what is published from here on is counted at the end
        for together in STARTS:
            roles = [role for role in together if role != "console" or self._content["console"]]
            for role in roles:
                self._start(role, role_command(role, file))
            for role in roles:
                self._await(f"{role} is ready", self.processes[role].answers)

    def check(self) -> None:
        for process in self.processes.values():
            process.require_running()

    def stop(self) -> None:
        """Let the collectors end, then, once the sink has stored all of theirs, the others."""
        with self._running:
            complete = "collectors" in self.processes
            if complete:
                self._end("collectors")
                self._await("the sink has stored everything", lambda: self._bus.lag("sink") == 0, STORED_S)
            roles = [name for name in self.processes if name != STORE]
            for role in roles:
                self.processes[role].ask_to_stop()
            for role in roles:
                self._end(role)
            if complete:
                self._last_counts = self.counts()

    def counts(self) -> Counts:
        if self._last_counts is not None:
            return self._last_counts
        with closing(Connection(parse_dsn(self._store.dsn))) as store:
            stored = store.query(SCRAPED_ROWS, derived=list(DERIVED)).column("rows")[0].as_py()
        return Counts(self._published(), int(stored), self._inbox.messages.total())

    def _published(self) -> int:
        """Samples on the bus. Nothing of it is committed, so it can be counted again."""
        found, left = 0, self._bus.lag(AUDIT)
        with closing(self._bus.subscribe(AUDIT, ["samples"])) as reader:
            while left > 0:
                records = reader.poll(READY_S)
                if not records:
                    raise Unavailable(f"{left} messages on the bus could not be read within {READY_S:.0f} s, to count them.")
                left -= len(records)
                found += sum(len(record.message) for record in records)
        return found

    def _start(self, name: str, command: Sequence[str]) -> None:
        self.processes[name] = process = Answering(name, command, self._folder)
        self._running.callback(process.stop, DRAINED_S)

    def _end(self, name: str) -> None:
        """End one, which has time to hand on what it has in hand. Raises Unavailable where it did not end well."""
        process = self.processes.pop(name)
        process.stop(DRAINED_S)
        if process.exit_code != 0:
            raise Unavailable(process.failure())

    def _await(self, what: str, come: Callable[[], bool], within_s: float = READY_S) -> None:
        until_s = self._clock.monotonic_s() + within_s
        pause = Event()
        while not come():
            self.check()
            if self._clock.monotonic_s() > until_s:
                raise Unavailable(f"Within {within_s:.0f} s this did not happen: {what}.")
            pause.wait(0.1)
