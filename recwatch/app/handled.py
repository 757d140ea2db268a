"""What a stage has handled: how far it has come with each service, and how long after the time of the samples."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from threading import Lock

from recwatch.core.clock import Clock
from recwatch.core.signals import Samples

DELAYS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Handled:
    """`until_ms` holds, by service, the newest sample time handled."""

    def __init__(self, clock: Clock) -> None:
        self.until_ms: dict[str, int] = {}
        self.delay_sum_s = 0.0
        self._clock = clock
        self._delays = [0] * (len(DELAYS_S) + 1)
        self._noting = Lock()

    def take(self, messages: Iterable[object]) -> None:
        """Take note of what was handled just now: of each batch of samples, its newest time."""
        now_ms = self._clock.now_ms()
        for message in messages:
            if isinstance(message, Samples) and len(message):
                self._note(message.service, int(message.time_ms.max()), now_ms)

    def _note(self, service: str, newest_ms: int, now_ms: int) -> None:
        delay_s = max(0.0, (now_ms - newest_ms) / 1000)
        with self._noting:
            self.until_ms[service] = max(newest_ms, self.until_ms.get(service, 0))
            self.delay_sum_s += delay_s
            self._delays[bisect_left(DELAYS_S, delay_s)] += 1

    def delays(self) -> list[tuple[str, float]]:
        """How many batches were handled within each of `DELAYS_S`, and in all, as Prometheus writes buckets."""
        total, buckets = 0.0, []
        for bound, count in zip((*map(str, DELAYS_S), "+Inf"), self._delays, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets
