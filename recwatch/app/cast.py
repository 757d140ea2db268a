"""Who takes part in the demo's story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from alerting.message import Message
from recwatch.app.patient import Patient
from recwatch.app.report import Counts
from recwatch.client import Client
from recwatch.core.clock import Clock


class Inbox:
    """Where the demo's messages go: prints each whole, and remembers when the first of an incident came."""

    def __init__(self, out: Console, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self.came_ms: dict[str, int] = {}
        self.messages: Counter[str] = Counter()

    def take(self, incident_id: str, text: str) -> None:
        self.came_ms.setdefault(incident_id, self._clock.now_ms())
        self.messages[incident_id] += 1
        self._out.print(Panel(Text(text), title="message", title_align="left", border_style="red"))

    def send(self, message: Message) -> None:
        """Be told as a notifier of this process is."""
        self.take(message.incident.id, message.text)

    def close(self) -> None:
        """There is nothing to let go of."""


class Monitor(Protocol):
    """recwatch as a whole, in one process or in many. `addresses` says where people and programs find it."""

    @property
    def addresses(self) -> Mapping[str, str]: ...

    def start(self) -> None:
        """Begin to watch; returns once the API answers."""
        ...

    def check(self) -> None:
        """Raise what a part died of, if one did."""
        ...

    def stop(self) -> None:
        """Store everything that was scraped, and end."""
        ...

    def counts(self) -> Counts:
        """What was scraped, stored and sent; complete once it has stopped."""
        ...


@dataclass(frozen=True, slots=True)
class Cast:
    """The recommender, what its model runs on (`cuda` or `cpu`), the monitor, who asks its API, and whom it tells."""

    patient: Patient
    device: str
    monitor: Monitor
    client: Client
    inbox: Inbox

    @property
    def addresses(self) -> Mapping[str, str]:
        return {**self.monitor.addresses, "recommender": self.patient.url}

    def require_running(self) -> None:
        """Raise what one of them failed of."""
        self.patient.require_running()
        self.monitor.check()
