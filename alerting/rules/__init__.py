"""View → how strongly one cause is suspected: a rule a cause. What cannot be told from the signals has no rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alerting.rules.demand import batching_misfit, cache_miss_storm, capacity, load_surge
from alerting.rules.finding import Finding
from alerting.rules.machine import (
    dead_but_busy,
    disk_pressure,
    gpu_fault,
    gpu_throttling,
    host_bound,
    memory_pressure,
    telemetry_loss,
)
from alerting.rules.version import quality_loss, slow_version
from alerting.view import View
from recwatch.core.events import Cause

Rule = Callable[[View], Finding | None]

RULES: Mapping[Cause, Rule] = {
    Cause.LOAD_SURGE: load_surge,
    Cause.CAPACITY: capacity,
    Cause.BATCHING_MISFIT: batching_misfit,
    Cause.SLOW_VERSION: slow_version,
    Cause.CACHE_MISS_STORM: cache_miss_storm,
    Cause.GPU_THROTTLING: gpu_throttling,
    Cause.GPU_FAULT: gpu_fault,
    Cause.DEAD_BUT_BUSY: dead_but_busy,
    Cause.MEMORY_PRESSURE: memory_pressure,
    Cause.DISK_PRESSURE: disk_pressure,
    Cause.HOST_BOUND: host_bound,
    Cause.QUALITY_LOSS: quality_loss,
    Cause.TELEMETRY_LOSS: telemetry_loss,
}

_STARVED = frozenset({Cause.CAPACITY, Cause.BATCHING_MISFIT, Cause.HOST_BOUND})
SYMPTOMS: Mapping[Cause, frozenset[Cause]] = {
    Cause.LOAD_SURGE: _STARVED | {Cause.MEMORY_PRESSURE},
    Cause.SLOW_VERSION: _STARVED,
    Cause.CACHE_MISS_STORM: _STARVED,
    Cause.GPU_THROTTLING: _STARVED | {Cause.SLOW_VERSION},
    Cause.GPU_FAULT: _STARVED | {Cause.SLOW_VERSION, Cause.GPU_THROTTLING},
    Cause.DEAD_BUT_BUSY: _STARVED | {Cause.SLOW_VERSION},
    Cause.TELEMETRY_LOSS: frozenset({Cause.GPU_FAULT}),
}
"""What a cause also looks like: suspecting it takes as much belief from these."""
