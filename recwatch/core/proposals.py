"""Words for what is done about an incident: the change that is proposed, what people say of it, what was sent to the world.

Frozen like every event: a step in a proposal's life is a new value with the same id and a longer history.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from recwatch.core.events import Evidence, Transition, event_id

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
class Hold:
    """Why tuning proposes nothing for a service just now; the topic `holds` is compacted by service."""

    service: str
    reason: str
    time_ms: int


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
