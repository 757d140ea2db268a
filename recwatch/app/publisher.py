"""What collectors publish, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from recwatch.app.handled import Handled
from recwatch.core.clock import Clock
from recwatch.core.signals import Samples

Publish = Callable[[str, str, Any], None]


class Publisher:
    """Counts the samples that it publishes, by service. Any thread may publish; of one service, one at a time does."""

    def __init__(self, publish: Publish, clock: Clock) -> None:
        self.samples: Counter[str] = Counter()
        self.handled = Handled(clock)
        self._publish = publish

    def publish(self, topic: str, key: str, message: object) -> None:
        """Publish, and count."""
        self._publish(topic, key, message)
        self.count(key, message)

    def count(self, key: str, message: object) -> None:
        """Count what was published."""
        if isinstance(message, Samples):
            self.samples[key] += len(message)
            self.handled.take((message,))
