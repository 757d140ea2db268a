"""What a tuner must not forget. Pure: each step gives a new ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recwatch.core.event_json import version_of
from recwatch.core.events import Incident
from recwatch.core.proposals import ENDED, Proposal

KEPT_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Ledger:
    """Proposals and incidents, the oldest first, each as it was last; those that are over for a day."""

    proposals: tuple[Proposal, ...] = ()
    incidents: tuple[Incident, ...] = ()

    def with_proposal(self, proposal: Proposal) -> Ledger:
        """With this version of a proposal, at the time of its last step."""
        known = {p.id: p for p in self.proposals} | {proposal.id: proposal}
        since_ms = proposal.history[-1].time_ms - KEPT_MS
        kept = (p for p in known.values() if p.state not in ENDED or p.history[-1].time_ms > since_ms)
        return replace(self, proposals=tuple(kept))

    def with_incident(self, incident: Incident, now_ms: int) -> Ledger:
        """With this version of an incident if it is not older than the one known: an old one opens nothing again."""
        known = {i.id: i for i in self.incidents}
        if incident.id not in known or version_of(incident) >= version_of(known[incident.id]):
            known[incident.id] = incident
        kept = (i for i in known.values() if i.end_ms is None or now_ms - i.end_ms < KEPT_MS)
        return replace(self, incidents=tuple(kept))

    def proposal(self, proposal_id: str) -> Proposal | None:
        return next((p for p in self.proposals if p.id == proposal_id), None)

    @property
    def open_proposal(self) -> Proposal | None:
        """The one that has not ended; there is one at a time."""
        return next((p for p in self.proposals if p.state not in ENDED), None)

    @property
    def open_incidents(self) -> dict[str, Incident]:
        return {incident.id: incident for incident in self.incidents if incident.state == "open"}

    def attempts(self, incident: Incident) -> int:
        """How often a change was proposed for this incident."""
        return sum(proposal.incident_id == incident.id for proposal in self.proposals)
