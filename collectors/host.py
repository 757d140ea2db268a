"""The machine that recwatch runs on → canonical host signals."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from collectors.measures import Key

_WORKING = ("user", "nice", "system", "irq", "softirq", "steal")
_WAITING = ("idle", "iowait")


class Host:
    """Reads CPU and memory. The share of busy time is that since the reading before, so the first has none."""

    def __init__(self) -> None:
        self._times: Mapping[str, float] | None = None

    def read(self) -> dict[Key, float]:
        """The host's signals now."""
        times = psutil.cpu_times()._asdict()
        busy = None if self._times is None else busy_ratio(self._times, times)
        self._times = times
        signals: dict[Key, float] = {("host_memory_available_bytes", ()): float(psutil.virtual_memory().available)}
        return signals if busy is None else signals | {("host_cpu_busy_ratio", ()): busy}


def busy_ratio(before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
    """The share (0..1) of all cores' time spent working between two readings in seconds; None if no time went by.

    >>> busy_ratio({"user": 1.0, "idle": 10.0}, {"user": 2.0, "idle": 13.0})
    0.25
    """
    working, waiting = (
        sum(max(0.0, after.get(name, 0.0) - before.get(name, 0.0)) for name in names) for names in (_WORKING, _WAITING)
    )
    return working / (working + waiting) if working + waiting else None
