"""How what is not a stage's outcome gets onto the bus: insisted on, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Event
from typing import Any

from recwatch.app.handled import Handled
from recwatch.app.threads import Trouble
from recwatch.core.bus import Bus
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.stage import Outgoing


class Publisher:
    """Counts the samples that it publishes, by service. Any thread may publish; of one service, one at a time does."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self.samples: Counter[str] = Counter()
        self.handled = Handled(clock)
        self._bus = bus

    def publish(self, topic: str, key: str, message: object) -> None:
        """Publish once; raises Unavailable as the bus does."""
        self._bus.publish(topic, key, message)
        if isinstance(message, Samples):
            self.samples[key] += len(message)
            self.handled.take((message,))


def insist(publish: Callable[[str, str, Any], None], message: Outgoing, trouble: Trouble, ending: Event) -> None:
    """Publish, however long the bus has no room, unless the end comes meanwhile."""
    while True:
        try:
            publish(*message)
        except Unavailable as error:
            trouble.now(str(error))
            if ending.is_set():
                return
        else:
            trouble.now("")
            return
