"""Words for events: what happened, what it means, and what is done about it. They travel as JSON.

Every word here is frozen; a change of state is a new value with the same id and a longer history, so the latest value of an
id tells the whole story. Times are unix milliseconds of sample time unless a field says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args

import xxhash
from pydantic import TypeAdapter

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
    HOST_BOUND = "host_bound"
    BAD_REPLICA = "bad_replica"
    QUALITY_LOSS = "quality_loss"
    TELEMETRY_LOSS = "telemetry_loss"
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
    """One event of a service, however many series it touches. `causes` is ranked, most believed first, never empty."""

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


KnobValue = int | float | str


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the bounds of its 90 % interval, in the unit that the field's name says."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a proposal promises. Cost is relative to the resources in use now (1.0 = the same); quality is a ratio 0..1."""

    p99_ms: Interval
    throughput_rps: Interval
    cost_ratio: Interval
    quality_ratio: Interval | None = None


ProposalState = Literal["proposed", "approved", "applied", "verified", "rolled_back", "rejected", "expired"]
ENDED: frozenset[ProposalState] = frozenset({"verified", "rolled_back", "rejected", "expired"})


@dataclass(frozen=True, slots=True)
class Action:
    """What was sent to the world, and what was read back from it afterwards."""

    time_ms: int
    knob: str
    sent: KnobValue
    read_back: KnobValue
    by: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of one knob that should mend an incident. `measured_p99_ms` is filled in by verification."""

    id: str
    service: str
    incident_id: str
    state: ProposalState
    knob: str
    from_value: KnobValue
    to_value: KnobValue
    predicted: Prediction
    reason: str
    evidence: tuple[Evidence, ...]
    policy: str
    created_ms: int
    expires_ms: int
    history: tuple[Transition, ...]
    actions: tuple[Action, ...] = ()
    measured_p99_ms: float | None = None

    def moved(self, state: ProposalState, time_ms: int, by: str, why: str, **changes: Any) -> Proposal:
        """The same proposal one step further on."""
        step = Transition(state, time_ms, by, why)
        return replace(self, state=state, history=(*self.history, step), **changes)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of a proposal. Whoever owns the proposal turns it into a transition."""

    id: str
    service: str
    proposal_id: str
    verdict: Literal["approve", "reject"]
    time_ms: int
    by: str
    why: str

    @classmethod
    def of(cls, proposal: Proposal, verdict: Literal["approve", "reject"], time_ms: int, by: str, why: str) -> Decision:
        return cls(
            event_id("decision", proposal.id, verdict, time_ms, by),
            proposal.service,
            proposal.id,
            verdict,
            time_ms,
            by,
            why,
        )


Event = Anomaly | Mark | Incident | Silence | Proposal | Decision
E = TypeVar("E", bound=Event)


def version_of(event: Event) -> int:
    """Grows with every step in the life of an event, so that an old one that comes again is told from a new one.

    Of equal versions the one that comes last counts.
    """
    match event:
        case Anomaly():
            return int(event.end_ms is not None)
        case Incident():
            return len(event.history) * 1_000_000 + len(event.anomalies)
        case Proposal():
            return len(event.history)
        case Mark() | Silence() | Decision():
            return 0


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in get_args(Event)}


def to_json(event: Event) -> str:
    """The event as JSON text; `from_json` gives an equal event back."""
    return _ADAPTERS[type(event)].dump_json(event).decode()


def from_json(kind: type[E], text: str | bytes) -> E:
    """The event of this kind that `to_json` wrote.

    >>> mark = Mark.of("shop", "deploy", 5, "ranker v2", by="ci")
    >>> from_json(Mark, to_json(mark)) == mark
    True
    """
    event: E = _ADAPTERS[kind].validate_json(text)
    return event
