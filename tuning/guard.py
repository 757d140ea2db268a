"""Whether a change may be proposed, and whether it may still be applied. Every refusal says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recwatch.core.events import Incident
from recwatch.core.proposals import ENDED, Proposal
from tuning.actuators import Knob
from tuning.intervals import Intervals
from tuning.policies import Candidate, NoChange

STALE_INTERVALS = 3
MEASURED_INTERVALS = 10
DEAD_BAND_RATIO = 0.1
# A shadow sample of answers wanders by this from one stretch of ten intervals to the next.
QUALITY_WANDERS_BY = 0.05
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a service may be changed."""

    cool_down_s: float
    changes_per_hour: int


@dataclass(frozen=True, slots=True)
class Measured:
    """How the service does now; None is not measured."""

    p99_ms: float | None
    quality_ratio: float | None

    @classmethod
    def of(cls, now: Intervals) -> Measured:
        """Over the newest intervals of `now`."""
        p99 = now.last(MEASURED_INTERVALS).latency_s(0.99)
        return cls(None if p99 is None else 1000.0 * p99, now.last(MEASURED_INTERVALS).mean("answer_quality_ratio"))


def stale(newest_ms: int | None, interval_ms: float, now_ms: int) -> NoChange | None:
    """Refuses to decide on figures older than three intervals of the wall clock.

    >>> stale(newest_ms=1_000, interval_ms=1_000, now_ms=5_500).reason
    'the newest traffic figures are 4.5 s old, more than 3 intervals of 1.0 s: nothing is decided on stale data'
    """
    if newest_ms is None:
        return NoChange("no traffic figures were seen yet: nothing is decided without data")
    age_ms = now_ms - newest_ms
    if age_ms <= STALE_INTERVALS * interval_ms:
        return None
    return NoChange(
        f"the newest traffic figures are {age_ms / 1000:.1f} s old, more than {STALE_INTERVALS} intervals of "
        f"{interval_ms / 1000:.1f} s: nothing is decided on stale data"
    )


def may_propose(
    incident: Incident, candidate: Candidate, knob: Knob, measured: Measured, history: Sequence[Proposal]
) -> NoChange | None:
    """Refuses a candidate that is out of range, pointless, harmful, or was answered already. `history` is of the service."""
    return (
        _open_already(history)
        or _out_of_range(candidate, knob)
        or _within_dead_band(candidate, measured)
        or _loses_quality(candidate, measured)
        or _answered_already(incident, candidate, history)
    )


def may_change(pace: Pace, history: Sequence[Proposal], now_ms: int) -> NoChange | None:
    """Refuses a change too soon after the last one, or too many in an hour (both by what was sent to the world)."""
    changes = [proposal.actions[0].time_ms for proposal in history if proposal.actions]
    last = max((action.time_ms for proposal in history for action in proposal.actions), default=None)
    if last is not None and now_ms - last < 1000 * pace.cool_down_s:
        left_s = pace.cool_down_s - (now_ms - last) / 1000
        return NoChange(f"cooling down for another {left_s:.0f} s after the last change")
    recent = sum(now_ms - time_ms < HOUR_MS for time_ms in changes)
    if recent >= pace.changes_per_hour:
        return NoChange(f"{recent} changes within the hour, and {pace.changes_per_hour} are allowed")
    return None


def to_apply(proposal: Proposal, knob: Knob | None) -> Knob | NoChange:
    """The knob to change, unless it is no longer as it was when this was proposed: whoever changed it has the say."""
    if knob is None:
        return NoChange(f"the service no longer has the knob {proposal.knob}")
    if knob.value not in (proposal.from_value, proposal.to_value):
        return NoChange(
            f"{proposal.knob} is {knob.value}, not {proposal.from_value} as when this was proposed: someone else changed it"
        )
    if not knob.allows(proposal.to_value):
        return NoChange(f"{proposal.knob} no longer takes {proposal.to_value}")
    return knob


def to_conclude(proposal: Proposal, knob: Knob | None, verified: bool) -> Knob | NoChange:
    """The knob that a verdict speaks of, unless someone else has changed it since.

    An undo whose answer was lost finds the knob back at `from_value`; that is then its own doing.
    """
    left_at = proposal.actions[-1].read_back
    if knob is not None and (knob.value == left_at or (knob.value == proposal.from_value and not verified)):
        return knob
    stands = "gone" if knob is None else knob.value
    return NoChange(
        f"{proposal.knob} is {stands}, not {left_at} as it was left: someone else changed it, and it stays theirs"
    )


def _open_already(history: Sequence[Proposal]) -> NoChange | None:
    waiting = [proposal for proposal in history if proposal.state not in ENDED]
    return NoChange(f"proposal {waiting[0].id} is {waiting[0].state}: one at a time") if waiting else None


def _out_of_range(candidate: Candidate, knob: Knob) -> NoChange | None:
    if knob.allows(candidate.to_value):
        return None
    allowed = list(knob.choices) if knob.choices else f"{knob.low} to {knob.high}"
    return NoChange(f"{candidate.knob}={candidate.to_value} is out of range, which is {allowed}")


def _within_dead_band(candidate: Candidate, measured: Measured) -> NoChange | None:
    predicted = candidate.predicted.p99_ms.mid
    if measured.p99_ms is None or predicted <= (1 - DEAD_BAND_RATIO) * measured.p99_ms:
        return None
    return NoChange(
        f"{candidate.knob}={candidate.to_value} promises p99 {predicted:.0f} ms and it is {measured.p99_ms:.0f} ms now: "
        f"less than {DEAD_BAND_RATIO:.0%} better is noise"
    )


def _loses_quality(candidate: Candidate, measured: Measured) -> NoChange | None:
    promised = candidate.predicted.quality_ratio
    if promised is None or measured.quality_ratio is None or promised.high >= measured.quality_ratio - QUALITY_WANDERS_BY:
        return None
    return NoChange(
        f"{candidate.knob}={candidate.to_value} would lower the quality from {measured.quality_ratio:.3f} "
        f"to {promised.mid:.3f}"
    )


def _answered_already(incident: Incident, candidate: Candidate, history: Sequence[Proposal]) -> NoChange | None:
    """A verified change may be followed by the next one, a withdrawn one by a better one; anything else is an answer."""
    earlier = [p for p in history if p.incident_id == incident.id and p.knob == candidate.knob]
    if not earlier or earlier[-1].state == "verified" or _withdrawn(earlier[-1]):
        return None
    ended = earlier[-1].history[-1]
    return NoChange(f"{candidate.knob} was {ended.state.replace('_', ' ')} in this incident already: {ended.why}")


def _withdrawn(proposal: Proposal) -> bool:
    return [step.state for step in proposal.history] == ["proposed", "expired"] and proposal.history[
        -1
    ].time_ms < proposal.expires_ms
