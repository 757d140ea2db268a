"""What every policy looks like: what it sees, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from recwatch.core.events import Cause, Evidence, Incident, Mark
from recwatch.core.objective import Objective
from recwatch.core.proposals import KnobValue, Prediction
from tuning.actuators import Knob
from tuning.intervals import Intervals


@dataclass(frozen=True, slots=True)
class Reading:
    """The knobs of a service as they stood at a time (wall clock)."""

    time_ms: int
    knobs: Mapping[str, Knob]


@dataclass(frozen=True, slots=True)
class View:
    """All that a policy may look at. `readings` are earlier ones of the knobs, oldest first."""

    incident: Incident
    knobs: Mapping[str, Knob]
    readings: tuple[Reading, ...]
    marks: tuple[Mark, ...]
    intervals: Intervals
    objective: Objective


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change that a policy would make, and what it promises."""

    knob: str
    from_value: KnobValue
    to_value: KnobValue
    predicted: Prediction
    reason: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class NoChange:
    """No knob is to be changed now, and why."""

    reason: str


class Policy(Protocol):
    """Answers the incidents of some causes. The constructor's arguments are the policy's configuration."""

    causes: ClassVar[frozenset[Cause]]

    def propose(self, view: View) -> Candidate | NoChange:
        """The least change that should mend the incident, or why there is none (yet). Pure."""
        ...


NOT_OURS = {
    Cause.GPU_THROTTLING: "clocks are not ours to tune: look at the power limit and the cooling of the GPU",
    Cause.GPU_FAULT: "no knob mends a broken GPU: take it out of service",
    Cause.TELEMETRY_LOSS: "nothing is changed blindly: bring the telemetry back first",
    Cause.UNKNOWN: "the cause is unknown, and a guess is no reason to change a knob",
}


def no_policy(cause: Cause) -> NoChange:
    """Why a cause that no configured policy answers is left alone."""
    return NoChange(f"{cause}: {NOT_OURS.get(cause, 'no configured policy answers this cause')}")
