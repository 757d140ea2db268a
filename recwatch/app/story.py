"""The story of one fault: each step waits for what recwatch itself says, and tells it."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Literal, TypeVar

from recwatch.app.cast import Cast
from recwatch.app.patient import RATE_PER_SECOND, Fault
from recwatch.app.report import Latencies, Report, Teller, incident_figures, proposal_figures
from recwatch.app.witness import Witness
from recwatch.core.clock import SystemClock
from recwatch.core.events import Incident
from recwatch.core.proposals import ENDED, Proposal
from recwatch.core.wording import rfc3339

T = TypeVar("T")

SERVICE = "recommender"
OBJECTIVE_P99_MS = 200
BASELINE_S = 20.0
DISTURBED_S = 150.0
PATIENT_WARM_S = 5.0
APPROVAL_WAIT_S = 60.0
LOOK_S = 0.5


class Missed(Exception):
    """What the story waited for did not come."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, how long it lasts, whether a change of ours mends it before its end, and what the model has to run on."""

    fault: str
    duration_s: float
    mended: bool
    on: Literal["auto", "cpu"] = "auto"


RUNS_ON = {"cuda": "a GPU", "cpu": "the CPU beside an emulated GPU"}
SCENARIOS = {
    "surge": Scenario("surge", 120.0, mended=True),
    "deploy": Scenario("deploy", 120.0, mended=True),
    "throttle": Scenario("throttle", 30.0, mended=False, on="cpu"),
}


class Story:
    """One run of a scenario. Each step waits for what recwatch itself says; what does not come ends it in a sentence."""

    def __init__(self, scenario: Scenario, cast: Cast, teller: Teller, *, person: bool) -> None:
        self.teller = teller
        self._cast = cast
        self._witness = Witness(cast.client, SERVICE)
        self._scenario = scenario
        self._person = person
        self._entered = False
        self._clock = SystemClock()
        self._pause = Event()
        self._started_s = self._clock.now_ms() / 1000
        self._watched = False
        self._fault: Fault | None = None
        self._incident_id: str | None = None
        self._proposal_id: str | None = None
        self._recovered_ms: int | None = None

    def tell(self) -> bool:
        """Run the story; whether it reached the fault's expected end."""
        try:
            self._warm_up()
            fault = self._break()
            self._diagnosed()
            if self._scenario.mended:
                self._mended()
            else:
                self._resolved_by_itself(fault)
        except Missed as missed:
            self._say(f"The story ends here: {missed}", "red")
            return False
        return True

    def _warm_up(self) -> None:
        self._cast.patient.start_load()
        self._wait_s("the first requests warm it up", PATIENT_WARM_S)
        self._cast.monitor.start()
        self._watched = True
        self._say(
            f"A recommender serves about {RATE_PER_SECOND:.0f} requests/s on {self._cast.patient.url}, its model on "
            f"{RUNS_ON[self._cast.device]}; recwatch scrapes it."
        )
        self._wait("detectors learn what is normal", lambda: self._witness.warm() or None, 90)
        self._wait_s("a baseline is measured", BASELINE_S)
        while disturbed := self._incident_at_hand():
            self._say(f"The machine itself disturbed the baseline ({disturbed.title}); waiting for that to pass.", "yellow")
            self._wait("the disturbance passes", lambda: self._incident_at_hand() is None or None, DISTURBED_S)
        self._say(f"Healthy: {self._witness.pulse()}.", "green")

    def _break(self) -> Fault:
        self._fault = self._cast.patient.start_fault(self._scenario.fault, self._scenario.duration_s)
        self._say(f"The fault '{self._fault.name}' begins (true cause: {self._fault.cause}).", "bold yellow")
        return self._fault

    def _diagnosed(self) -> None:
        incident = self._wait("recwatch notices", self._witness.open_incident, 30)
        self._incident_id = incident.id
        self._wait("the message goes out", lambda: self._cast.inbox.came_ms.get(incident.id), 10)
        settled = self._incident()
        self._say(f"{settled.title}", "bold red")
        for evidence in settled.causes[0].evidence:
            self.teller.more(evidence.text)

    def _mended(self) -> None:
        proposal = self._wait("a change is worked out", self._newest_proposal, 40)
        self._proposal_id = proposal.id
        p99 = proposal.predicted.p99_ms
        self._say(f"Proposal: {proposal.knob} {proposal.from_value} → {proposal.to_value}", "bold cyan")
        self.teller.more(f"{proposal.reason}; predicted p99 {p99.mid:.0f} ms ({p99.low:.0f} to {p99.high:.0f}).")
        self._decide(proposal)
        self._wait("the change is applied", lambda: self._proposal_that(lambda p: bool(p.actions)), 20)
        self._say("Applied over HTTP and read back; measuring whether it helps.")
        ended = self._wait("the change is verified", lambda: self._proposal_that(lambda p: p.state in ENDED), 90)
        last = ended.history[-1]
        if ended.state != "verified":
            raise Missed(f"the change was {ended.state.replace('_', ' ')}: {last.why}")
        if ended.measured_p99_ms is None or ended.measured_p99_ms > OBJECTIVE_P99_MS:
            raise Missed(f"the change helped, and was kept, but not enough: {last.why}")
        self._recovered_ms = last.time_ms
        self._say(f"Verified. {last.why}", "bold green")

    def _resolved_by_itself(self, fault: Fault) -> None:
        left_s = fault.ends_at - self._clock.now_ms() / 1000 + 60
        self._wait("the fault passes", lambda: self._incident().state == "resolved" or None, left_s)
        if proposal := self._newest_proposal():
            raise Missed(f"a change of {proposal.knob} was proposed, though no knob of ours mends this.")
        self._recovered_ms = self._incident().end_ms
        self._say("Resolved: the fault is over. Nothing was proposed, as clocks are not ours to tune.", "bold green")
        for hold in self._cast.client.holds():
            self.teller.more(hold.reason)

    def _decide(self, proposal: Proposal) -> None:
        """Wait for a person to decide; without one, or after a while, approve and say so."""
        if self._person:
            until_s = self._clock.now_ms() / 1000 + APPROVAL_WAIT_S
            waits = f"{self._cast.addresses['console']}/proposals"
            self._say(
                f"Approve it in the console ({waits}) or press Enter; after {APPROVAL_WAIT_S:.0f} s the demo does.", "bold"
            )
            self._wait("your approval is awaited", lambda: self._decided(until_s), APPROVAL_WAIT_S + 5)
        if (state := self._proposal().state) != "proposed":
            self._say(f"The proposal is {state}.")
            return
        by = "the person at the terminal" if self._entered else "the demo"
        self._cast.client.decide(proposal.id, "approve", by, "the story goes on")
        self._say(f"Approved by {by}.")

    def _decided(self, until_s: float) -> bool | None:
        self._entered = _enter_pressed()
        over = self._clock.now_ms() / 1000 >= until_s
        return over or self._proposal().state != "proposed" or self._entered or None

    def stay_up(self) -> None:
        """Go on watching until Ctrl-C."""
        self.teller.out.print("\nEverything stays up. Press Ctrl-C to stop.", style="bold")
        while True:
            self._look()

    def report(self) -> Report:
        """The figures so far, while the monitor still answers; what was not reached is None."""
        incident = self._incident() if self._incident_id else None
        proposal = self._proposal() if self._proposal_id else None
        message_ms = self._cast.inbox.came_ms.get(incident.id) if incident else None
        return Report(
            fault=self._scenario.fault,
            fault_started_at=rfc3339(round(1000 * self._fault.started_at)) if self._fault else "",
            detected_after_s=self._after_s(incident.history[0].time_ms if incident else None),
            message_after_s=self._after_s(message_ms),
            incident=incident_figures(incident),
            proposal=proposal_figures(proposal),
            applied_after_s=self._after_s(_applied_ms(proposal)),
            recovered_after_s=self._after_s(self._recovered_ms),
            p99_ms=self._latencies(_applied_ms(proposal)),
        )

    def _latencies(self, applied_ms: int | None) -> Latencies:
        if self._fault is None:
            return Latencies(None, None, None)
        start_ms = self._fault.started_at * 1000
        over_ms = applied_ms or self._fault.ends_at * 1000
        times_ms = (start_ms - BASELINE_S * 1000, start_ms, over_ms)
        return self._witness.latencies(times_ms, self._clock.now_ms(), recovered=self._recovered_ms is not None)

    def _wait(self, what: str, seek: Callable[[], T | None], timeout_s: float) -> T:
        """What `seek` finds, looked for twice a second. Raises Missed when it has not come in time."""
        until_s = self._clock.monotonic_s() + timeout_s
        with self.teller.out.status("") as status:
            while (found := seek()) is None:
                if self._clock.monotonic_s() > until_s:
                    raise Missed(f"within {timeout_s:.0f} s this did not happen: {what}.")
                status.update(f"{what} … {self._witness.pulse() if self._watched else ''}")
                self._look()
        return found

    def _wait_s(self, what: str, seconds: float) -> None:
        """Let a stretch of time pass."""
        until_s = self._clock.monotonic_s() + seconds
        self._wait(what, lambda: self._clock.monotonic_s() >= until_s or None, seconds + 5)

    def _look(self) -> None:
        """Let a moment pass; raise when a part has failed."""
        self._cast.require_running()
        self._pause.wait(LOOK_S)

    def _incident(self) -> Incident:
        """The incident that the story is about; it was seen before."""
        return self._cast.client.incident(self._incident_id or "")

    def _proposal(self) -> Proposal:
        """The proposal that the story is about; it was seen before."""
        return self._cast.client.proposal(self._proposal_id or "")

    def _proposal_that(self, has_come_so_far: Callable[[Proposal], bool]) -> Proposal | None:
        proposal = self._proposal()
        return proposal if has_come_so_far(proposal) else None

    def _newest_proposal(self) -> Proposal | None:
        return self._witness.newest_proposal(self._incident_id)

    def _incident_at_hand(self) -> Incident | None:
        return self._witness.incident_at_hand(self._clock.now_ms())

    def _after_s(self, time_ms: float | None) -> float | None:
        return None if time_ms is None or self._fault is None else round(time_ms / 1000 - self._fault.started_at, 2)

    def _say(self, text: str, style: str = "") -> None:
        zero_s = self._fault.started_at if self._fault else self._started_s
        self.teller.say(self._clock.now_ms() / 1000 - zero_s, text, style)


def _applied_ms(proposal: Proposal | None) -> int | None:
    return proposal.actions[0].time_ms if proposal and proposal.actions else None


def _enter_pressed() -> bool:
    """Whether a line was entered since the last look; a terminal that has gone enters none."""
    return bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.readline() != ""
