"""Who takes part in the demo's story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from alerting.message import Message
from recwatch.app.children import Child
from recwatch.app.patient import Patient
from recwatch.app.pipeline import Pipeline
from recwatch.core.clock import Clock


class Inbox:
    """The demo's own notifier: prints each message whole and remembers when it came."""

    def __init__(self, out: Console, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self.came_ms: dict[str, int] = {}

    def send(self, message: Message) -> None:
        self.came_ms.setdefault(message.incident.id, self._clock.now_ms())
        self._out.print(Panel(Text(message.text), title="message", title_align="left", border_style="red"))

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The recommender, the monitor, whoever receives messages, and where to find each of them."""

    patient: Patient
    pipeline: Pipeline
    inbox: Inbox
    console: Child | None
    addresses: Mapping[str, str]

    def require_running(self) -> None:
        """Raise what one of them failed of."""
        self.patient.require_running()
        self.pipeline.check()
        if self.console is not None:
            self.console.require_running()
