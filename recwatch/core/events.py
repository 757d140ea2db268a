"""Words for what happens to a service, and what it means. They travel as JSON (`recwatch.core.event_json`).

Every word here is frozen; a change of state is a new value with the same id and a longer history, so the latest value of an
id tells the whole story. Times are unix milliseconds of sample time unless a field says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import xxhash

Direction = Literal["above", "below"]
Severity = Literal["page", "ticket"]


def event_id(*parts: object) -> str:
    """A stable id of what identifies an event; equal parts give an equal id.

    >>> event_id("a", 1) == event_id("a", 1) != event_id("a", 2)
    True
    """
    return xxhash.xxh3_64_hexdigest("\x1f".join(map(str, parts)).encode())


class Cause(StrEnum):
    """Why a service is in trouble. The one place where a cause is added."""

    LOAD_SURGE = "load_surge"
    CAPACITY = "capacity"
    BATCHING_MISFIT = "batching_misfit"
    SLOW_VERSION = "slow_version"
    CACHE_MISS_STORM = "cache_miss_storm"
    GPU_THROTTLING = "gpu_throttling"
    GPU_FAULT = "gpu_fault"
    DEAD_BUT_BUSY = "dead_but_busy"
    MEMORY_PRESSURE = "memory_pressure"
    DISK_PRESSURE = "disk_pressure"
    HOST_BOUND = "host_bound"
    BAD_REPLICA = "bad_replica"
    QUALITY_LOSS = "quality_loss"
    TELEMETRY_LOSS = "telemetry_loss"
    MONITOR_BEHIND = "monitor_behind"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A stretch of one series that one method calls abnormal. Raised when it starts; raised again, same id, when it ends."""

    id: str
    service: str
    series_id: str
    series: str
    method: str
    start_ms: int
    end_ms: int | None
    peak_score: float
    direction: Direction
    value: float
    expected: float | None
    reason: str

    @staticmethod
    def id_of(series_id: int, method: str, start_ms: int) -> str:
        return event_id("anomaly", series_id, method, start_ms)


MarkKind = Literal["deploy", "knob_change", "restart", "silence", "note"]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done, or happened, at a time; by whom."""

    id: str
    service: str
    kind: MarkKind
    time_ms: int
    text: str
    by: str

    @classmethod
    def of(cls, service: str, kind: MarkKind, time_ms: int, text: str, by: str) -> Mark:
        return cls(event_id("mark", service, kind, time_ms, text), service, kind, time_ms, text, by)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason for a cause, in words, with the figures it rests on."""

    text: str
    series: str = ""
    value: float | None = None
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class RankedCause:
    """A candidate cause with the share of the belief it has (0..1) and the evidence for it."""

    cause: Cause
    confidence: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """One step in the life of an incident or a proposal. `time_ms` is the wall clock."""

    state: str
    time_ms: int
    by: str
    why: str


IncidentState = Literal["open", "resolved"]


@dataclass(frozen=True, slots=True)
class Incident:
    """One event of a service, however many series it touches. `causes` is ranked, most believed first, never empty.

    `shifts` is what a look back tells once there are readings enough: when the signal that leads changed and by how much,
    and how latency since a deploy compares with before it at equal load.
    """

    id: str
    service: str
    state: IncidentState
    severity: Severity
    start_ms: int
    end_ms: int | None
    title: str
    causes: tuple[RankedCause, ...]
    anomalies: tuple[Anomaly, ...]
    marks: tuple[Mark, ...]
    history: tuple[Transition, ...]
    shifts: tuple[Evidence, ...] = ()

    @property
    def cause(self) -> Cause:
        return self.causes[0].cause


@dataclass(frozen=True, slots=True)
class Silence:
    """Until `end_ms`, incidents of `service` with this cause (any, if None) are kept but not sent."""

    id: str
    service: str
    cause: Cause | None
    start_ms: int
    end_ms: int
    by: str
    why: str
