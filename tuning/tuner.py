"""One service's way from an incident to a verified change."""

from __future__ import annotations

from collections import deque

from recwatch.core.bus import Outgoing
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Cause, Incident, Mark, event_id
from recwatch.core.objective import Objective
from recwatch.core.proposals import Decision, KnobValue, Proposal, ProposalState
from recwatch.core.recent import Recent, usual_interval_ms
from tuning import guard, verify
from tuning.config import TuningConfig
from tuning.intervals import Intervals
from tuning.ledger import Ledger
from tuning.panel import Panel
from tuning.policies import Candidate, NoChange, View, no_policy

BY = "recwatch"
MARKS_KEPT = 200
REFUSED_RETRY_S = 5.0


class Tuner:
    """Proposes, applies, verifies and undoes changes of one service's knobs; `hold` says why it does nothing.

    `ledger` is all that it must not forget; to go on from another, set it.

    A step that meets a failing world ends there and is taken again later from where it stood: the state is in the proposals,
    and a knob is read before it is set, so nothing is done twice.
    """

    def __init__(self, service: str, config: TuningConfig, objective: Objective, panel: Panel, recent: Recent) -> None:
        self.hold = ""
        self.ledger = Ledger()
        self._service = service
        self._config = config
        self._objective = objective
        self._panel = panel
        self._recent = recent
        self._policies = config.chosen_policies()
        self._pace = guard.Pace(config.cool_down_s, config.changes_per_hour)
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._outgoing: list[Outgoing] = []
        self._not_before_ms = 0
        self._judged_ms: int | None = None

    def learn(self, event: Incident | Mark | Decision, now_ms: int) -> None:
        """Take note of an event of this service. One that was seen before changes nothing."""
        match event:
            case Incident():
                self.ledger = self.ledger.with_incident(event, now_ms)
            case Mark():
                self._marks.append(event)
            case Decision():
                self._decide(event, now_ms)

    def step(self, now_ms: int) -> list[Outgoing]:
        """Go as far as time, data and the world allow; returns what has changed."""
        if now_ms >= self._not_before_ms:
            try:
                self._advance(now_ms)
            except Unavailable as failure:
                self._wait(now_ms, failure.retry_after_s, failure)
            except BadInput as refusal:
                self._wait(now_ms, REFUSED_RETRY_S, refusal)
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def _wait(self, now_ms: int, seconds: float, reason: Unavailable | BadInput) -> None:
        # Not raised any further: a service that is down must not stop the stage that other services' samples come through.
        self.hold = str(reason)
        self._not_before_ms = now_ms + int(1000 * seconds)

    def _advance(self, now_ms: int) -> None:
        if self.ledger.open_proposal is None:
            self._consider(now_ms)
        if (proposal := self.ledger.open_proposal) and proposal.state == "proposed":
            self._reconsider(proposal, now_ms)
        if (proposal := self.ledger.open_proposal) and proposal.state == "approved":
            self._apply(proposal, now_ms)
        elif proposal and proposal.state == "applied":
            self._verify(proposal, now_ms)

    def _stale(self, now_ms: int) -> NoChange | None:
        return guard.stale(self._newest_ms, usual_interval_ms(self._recent.traffic_ms(self._service)), now_ms)

    @property
    def _newest_ms(self) -> int | None:
        """When traffic was last read; that its targets are down is no figure to decide on."""
        return max(self._recent.traffic_ms(self._service).tolist(), default=None)

    def _policy_for(self, cause: Cause) -> str:
        return next((name for name, policy in self._policies.items() if cause in policy.causes), "")

    def _consider(self, now_ms: int) -> None:
        """Look for a change that answers an open incident; keep an eye on the knobs meanwhile."""
        if not self.ledger.open_incidents:
            self.hold = ""
            if self._panel.age_ms(now_ms) >= 1000 * self._config.read_every_s:
                self._panel.read(now_ms)
            return
        newest_ms = self._newest_ms
        for incident in self.ledger.open_incidents.values():
            no_change = self._may_consider(incident, now_ms)
            if no_change is None and newest_ms != self._judged_ms:
                no_change = self._propose(incident, now_ms)
            if self.ledger.open_proposal:
                break
            self.hold = no_change.reason if no_change else self.hold
        self._judged_ms = newest_ms

    def _may_consider(self, incident: Incident, now_ms: int) -> NoChange | None:
        if not self._policy_for(incident.cause):
            return no_policy(incident.cause)
        return self._stale(now_ms) or guard.may_change(self._pace, self.ledger.proposals, now_ms)

    def _propose(self, incident: Incident, now_ms: int) -> NoChange | None:
        """Propose the change that the policy would make, if the guard lets it pass; else say why not."""
        policy = self._policy_for(incident.cause)
        intervals = Intervals.of(self._recent, self._service)
        knobs = self._panel.read(now_ms)
        marks = (*incident.marks, *self._marks)
        view = View(incident, knobs, self._panel.readings, marks, intervals, self._objective)
        candidate = self._policies[policy].propose(view)
        if isinstance(candidate, NoChange):
            return candidate
        measured = guard.Measured.of(intervals.since(incident.start_ms))
        if refusal := guard.may_propose(incident, candidate, knobs[candidate.knob], measured, self.ledger.proposals):
            return refusal
        self._move(self._proposal(incident, policy, candidate, now_ms).moved("proposed", now_ms, BY, candidate.reason))
        return None

    def _proposal(self, incident: Incident, policy: str, candidate: Candidate, now_ms: int) -> Proposal:
        return Proposal(
            id=event_id("proposal", incident.id, self.ledger.attempts(incident)),
            service=self._service,
            incident_id=incident.id,
            state="proposed",
            knob=candidate.knob,
            from_value=candidate.from_value,
            to_value=candidate.to_value,
            predicted=candidate.predicted,
            reason=candidate.reason,
            evidence=candidate.evidence,
            policy=policy,
            created_ms=now_ms,
            expires_ms=now_ms + int(1000 * self._config.expiry_s),
            history=(),
        )

    def _decide(self, decision: Decision, now_ms: int) -> None:
        proposal = self.ledger.proposal(decision.proposal_id)
        if proposal is not None and proposal.state == "proposed":
            state: ProposalState = "approved" if decision.verdict == "approve" else "rejected"
            self._move(proposal.moved(state, now_ms, decision.by, decision.why))

    def _reconsider(self, proposal: Proposal, now_ms: int) -> None:
        """Withdraw what time or the incident has overtaken; approve what needs no person."""
        incident = self.ledger.open_incidents.get(proposal.incident_id)
        if reason := self._overtaken(proposal, now_ms):
            self._move(proposal.moved("expired", now_ms, BY, reason))
        elif incident is not None and self._policy_for(incident.cause) != proposal.policy:
            why = f"the cause is now {incident.cause}, which {proposal.knob} does not answer"
            self._move(proposal.moved("expired", now_ms, BY, why))
        elif self._config.approval == "auto":
            self._move(proposal.moved("approved", now_ms, BY, "changes of this service need no approval"))

    def _overtaken(self, proposal: Proposal, now_ms: int) -> str:
        if proposal.incident_id not in self.ledger.open_incidents:
            return "the incident resolved without it"
        if now_ms >= proposal.expires_ms:
            undone = "decided on" if proposal.state == "proposed" else "applied"
            return f"it could not be {undone} within {self._config.expiry_s:.0f} s"
        return ""

    def _apply(self, proposal: Proposal, now_ms: int) -> None:
        """Make the approved change, unless it was overtaken, or the knob is no longer as it was."""
        if reason := self._overtaken(proposal, now_ms):
            self._move(proposal.moved("expired", now_ms, BY, reason))
        elif no_change := self._stale(now_ms):
            self.hold = no_change.reason
        else:
            knob = guard.to_apply(proposal, self._panel.read(now_ms).get(proposal.knob))
            refusal = knob.reason if isinstance(knob, NoChange) else self._change(proposal, knob.value, now_ms)
            if refusal:
                self._move(proposal.moved("expired", now_ms, BY, refusal))

    def _change(self, proposal: Proposal, standing: KnobValue, now_ms: int) -> str:
        """Set the knob and take it down; returns why the service refused, if it did."""
        by = proposal.history[-1].by
        try:
            action = self._panel.set(proposal.knob, standing, proposal.to_value, now_ms, by)
        except BadInput as refused:
            return str(refused)
        why = f"{proposal.knob} {proposal.from_value} → {action.read_back}"
        self._move(proposal.moved("applied", now_ms, BY, why, actions=(action,)))
        self._mark(why, by, now_ms)
        return ""

    def _verify(self, proposal: Proposal, now_ms: int) -> None:
        """Judge the change once there is data, and undo it if it did not help. On stale data nothing is done."""
        newest_ms = self._newest_ms
        if no_change := self._stale(now_ms):
            self.hold = no_change.reason
        elif newest_ms != self._judged_ms:
            intervals = Intervals.of(self._recent, self._service)
            verdict = verify.judge(proposal, intervals, self._objective, self._config.verify)
            self.hold = verdict.why
            if verdict.outcome != "waiting":
                self._conclude(proposal, verdict, now_ms)
            self._judged_ms = newest_ms

    def _conclude(self, proposal: Proposal, verdict: verify.Verdict, now_ms: int) -> None:
        verified = verdict.outcome == "verified"
        knob = guard.to_conclude(proposal, self._panel.read(now_ms).get(proposal.knob), verified)
        if isinstance(knob, NoChange):
            self._move(proposal.moved("expired", now_ms, BY, knob.reason))
        elif verified:
            self._move(proposal.moved("verified", now_ms, BY, verdict.why, measured_p99_ms=verdict.p99_ms))
        else:
            action = self._panel.set(proposal.knob, knob.value, proposal.from_value, now_ms, BY)
            measured = {"actions": (*proposal.actions, action), "measured_p99_ms": verdict.p99_ms}
            self._move(proposal.moved("rolled_back", now_ms, BY, verdict.why, **measured))
            self._mark(f"{proposal.knob} {knob.value} → {action.read_back}, undone", BY, now_ms)

    def _move(self, proposal: Proposal) -> None:
        self.hold = ""
        self.ledger = self.ledger.with_proposal(proposal)
        self._outgoing.append(Outgoing("proposals", self._service, proposal))

    def _mark(self, text: str, by: str, now_ms: int) -> None:
        mark = Mark.of(self._service, "knob_change", now_ms, text, by)
        self._outgoing.append(Outgoing("marks", self._service, mark))
