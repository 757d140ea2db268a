"""The machine that recwatch runs on, read once an interval like one more target → canonical signals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.fleet import Fleet
from collectors.host import host_measures
from collectors.increments import Counted, Increments
from collectors.measures import Key, Reading
from collectors.nvml import GpuDriver, gpu_measures
from collectors.quantities import QUANTITIES
from collectors.target import TargetStatus
from recwatch.core.errors import Unavailable


class Machine:
    """The host, if asked for, and the GPUs that `gpus` reads. `status` tells how the driver fares, under `nvml:`."""

    def __init__(self, host: bool, gpus: GpuDriver | None, max_gap_ms: int) -> None:
        self._host = Source(max_gap_ms) if host else None
        self._gpus = gpus
        self._gpu_source = Source(max_gap_ms)
        self._fleet = Fleet()
        self.status: TargetStatus | None = None

    def signals(self, time_ms: int) -> dict[Key, float]:
        """What host and GPUs tell now; rates from the second reading on."""
        readings = [] if self._host is None else [self._host.reading(time_ms, host_measures())]
        if self._gpus is not None:
            readings += self._gpu_readings(time_ms, self._gpus)
        return self._fleet.signals(time_ms, readings)

    def _gpu_readings(self, time_ms: int, gpus: GpuDriver) -> list[Reading]:
        try:
            told = gpu_measures(gpus.gpus())
        except Unavailable as error:
            last_ms = self.status.last_scrape_ms if self.status else None
            self.status = TargetStatus("nvml:", "nvml", False, str(error), last_ms, 0)
            return []
        self.status = TargetStatus("nvml:", "nvml", True, "", time_ms, len(told))
        return [self._gpu_source.reading(time_ms, told)]


class Source:
    """Turns all that something tells, from moment to moment, into readings: levels as they are, counters as their growth."""

    def __init__(self, max_gap_ms: int) -> None:
        self._increments = Increments(max_gap_ms)
        self._numbers: dict[Key, int] = {}

    def reading(self, time_ms: int, told: Mapping[Key, float]) -> Reading:
        levels = {key: value for key, value in told.items() if QUANTITIES[key[0]].counts == "level"}
        counters = {key: value for key, value in told.items() if key not in levels}
        numbers = tuple(self._numbers.setdefault(key, len(self._numbers)) for key in counters)
        counted = Counted(numbers, np.fromiter(counters.values(), np.float64, len(counters)))
        growth = self._increments.advance(time_ms, Counted((), np.zeros(0)), counted, None)
        grown = {} if growth.interval_s is None else dict(zip(counters, growth.hardware.tolist(), strict=True))
        return Reading(time_ms, tuple(levels.items()), grown, growth.interval_s)
