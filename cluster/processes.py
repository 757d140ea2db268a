"""recwatch as many processes: the embedded engine served, and one process for every role, joined by Kafka."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import yaml

from cluster.mailbox import Mailbox
from cluster.ports import free_ports
from recwatch.app.cast import Inbox
from recwatch.app.children import Child
from recwatch.app.demo import Content
from recwatch.app.report import Counts
from recwatch.core.bus.registry import open_bus
from recwatch.core.canonical import DERIVED
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import Unavailable
from recwatch.core.store.connection import PASSWORD_VARIABLE, Connection, parse_dsn

# The sink is first, for it makes the tables; the collectors are last, so that none of the starts is scraped.
STARTS = (("sink",), ("detectors", "alerting", "tuning", "api", "console"), ("collectors",))
READY_S, DRAINED_S, STORED_S = 60.0, 10.0, 30.0
AUDIT = "audit"
SCRAPED_ROWS = """
    SELECT count() AS rows FROM samples
    WHERE series_id NOT IN (SELECT id FROM series WHERE has({derived:Array(String)}, name))
"""


class Processes:
    """A monitor for the demo's story. What was scraped and stored it counts on the bus and in the store themselves."""

    def __init__(self, bus_dsn: str, content: Content, folder: Path, inbox: Inbox) -> None:
        self._clock: Clock = SystemClock()
        self._folder = folder
        self._inbox = inbox
        self._mailbox = Mailbox(lambda told: inbox.take(told["incident"]["id"], told["text"]))
        roles = [role for together in STARTS for role in together if role != "console" or content["console"]]
        self._store_url, *urls = (f"http://127.0.0.1:{port}" for port in free_ports(1 + len(roles)))
        self._health = dict(zip(roles, urls, strict=True))
        self._api_url = self._health["api"]
        self._bus_dsn = bus_dsn
        self._store_dsn = f"clickhouse://recwatch@{self._store_url.removeprefix('http://')}/default"
        self._content = {
            **content,
            "bus": self._bus_dsn,
            "store": self._store_dsn,
            "api": {"port": _port(self._api_url)},
            "notify": [{"type": "webhook", "url": self._mailbox.url}],
        }
        self._children: dict[str, Child] = {}
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
        password = self._folder / "store-password"
        os.environ.pop(PASSWORD_VARIABLE, None)
        os.environ[f"{PASSWORD_VARIABLE}_FILE"] = str(password)  # for the roles, and to count in the store
        serve = ["store", "serve", f"chdb://{self._folder}/store", "--port", str(_port(self._store_url))]
        passwords = ["--password-file", str(password), "--reader-password-file", str(self._folder / "reader-password")]
        self._start("store", [*serve, *passwords])
        self._await("the store answers", partial(_answers, f"{self._store_url}/ping"))
        self._bus = self._running.enter_context(closing(open_bus(self._bus_dsn, READY_S)))
        self._bus.subscribe(AUDIT, ["samples"]).close()  # what is published from here on is counted at the end
        for together in STARTS:
            for role in [role for role in together if role in self._health]:
                self._start(role, ["run", role, str(file), "--port", str(_port(self._health[role]))])
            for role in [role for role in together if role in self._health]:
                self._await(f"{role} is ready", partial(_answers, f"{self._health[role]}/readyz"))

    def check(self) -> None:
        for child in self._children.values():
            child.require_running()

    def stop(self) -> None:
        """Let the collectors end, then, once the sink has stored all of theirs, the others."""
        with self._running:
            complete = "collectors" in self._children
            if complete:
                self._end("collectors")
                self._await("the sink has stored everything", lambda: self._bus.lag("sink") == 0, STORED_S)
            roles = [role for role in self._health if role in self._children]
            for role in roles:
                self._children[role].ask_to_stop()
            for role in roles:
                self._end(role)
            if complete:
                self._last_counts = self.counts()

    def counts(self) -> Counts:
        if self._last_counts is not None:
            return self._last_counts
        with closing(Connection(parse_dsn(self._store_dsn))) as store:
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

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        recwatch = str(Path(sys.executable).with_name("recwatch"))
        self._children[name] = child = Child(name, [recwatch, *arguments], cwd=self._folder)
        self._running.callback(child.stop, DRAINED_S)

    def _end(self, name: str) -> None:
        """End one, which has time to hand on what it has in hand. Raises Unavailable where it did not end well."""
        child = self._children.pop(name)
        child.stop(DRAINED_S)
        if child.exit_code != 0:
            raise Unavailable(child.failure())

    def _await(self, what: str, come: Callable[[], bool], within_s: float = READY_S) -> None:
        until_s = self._clock.monotonic_s() + within_s
        pause = Event()
        while not come():
            self.check()
            if self._clock.monotonic_s() > until_s:
                raise Unavailable(f"Within {within_s:.0f} s this did not happen: {what}.")
            pause.wait(0.1)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
