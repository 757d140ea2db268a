"""A simulated service in trouble, and a tuning stage before it, in sample time."""

from __future__ import annotations

from dataclasses import replace

from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Cause, Incident, Mark, RankedCause, Transition
from recwatch.core.objective import Objective
from recwatch.core.proposals import Decision, Proposal
from recwatch.core.signals import Samples, SeriesSet
from tests.simulated_service import SimulatedService
from tuning.config import ActuatorConfig, TuningConfig
from tuning.stage import TuningStage

UP = canonical_series("shop", "targets_up_ratio")


def config(**changes: object) -> TuningConfig:
    return TuningConfig.model_validate({"actuator": ActuatorConfig(url="http://127.0.0.1:1/knobs"), **changes})


class Story:
    """Drives a stage and a service a second at a time, and keeps all that the stage published."""

    def __init__(self, service: SimulatedService, settings: TuningConfig | None = None) -> None:
        self.service = service
        self.clock = FakeClock()
        self.settings = settings or config()
        self.published: list[Outgoing] = []
        self.stage = self.new_stage()
        self.incident: Incident | None = None

    def new_stage(self) -> TuningStage:
        return TuningStage({"shop": self.settings}, {"shop": Objective(0.150)}, {"shop": self.service})

    @property
    def proposals(self) -> list[Proposal]:
        return [out.message for out in self.published if out.topic == "proposals"]

    @property
    def proposal(self) -> Proposal:
        return self.proposals[-1]

    @property
    def states(self) -> list[str]:
        return [step.state for step in self.proposal.history]

    def give(self, topic: str, *messages: object) -> None:
        records = [Record(topic, 0, 0, "shop", message) for message in messages]
        self.published += self.stage.process(records, self.clock.now_ms())

    def run(self, seconds: int, samples: bool = True) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            now = self.clock.now_ms()
            if samples:
                read = self.service.tick(now)
                self.give("series", SeriesSet("shop", tuple(read)))
                self.give("samples", Samples.of("shop", "", now, {series.id: value for series, value in read.items()}))
            else:
                self.give("series", SeriesSet("shop", (UP,)))
                self.give("samples", Samples.of("shop", "", now, {UP.id: 0.0}))

    def open(self, cause: Cause, *marks: Mark) -> None:
        start_ms = self.clock.now_ms() - 2_000
        ranked = (RankedCause(cause, 0.9, ()),)
        opened = (Transition("open", self.clock.now_ms(), "recwatch", "slow"),)
        self.incident = Incident("i1", "shop", "open", "page", start_ms, None, "slow", ranked, (), marks, opened)
        self.give("incidents", self.incident)

    def resolve(self) -> None:
        assert self.incident is not None
        over = Transition("resolved", self.clock.now_ms(), "recwatch", "over")
        history = (*self.incident.history, over)
        self.give("incidents", replace(self.incident, state="resolved", end_ms=over.time_ms, history=history))

    def decide(self, approve: bool = True) -> None:
        verdict = Decision.of(self.proposal, "approve" if approve else "reject", self.clock.now_ms(), "ada", "looks right")
        self.give("decisions", verdict)


def surge(settings: TuningConfig | None = None, proposed: bool = True) -> Story:
    """A service at rest that gets three times its load, more than it can take; its incident is three seconds late."""
    story = Story(SimulatedService(), settings)
    story.run(40)
    story.service.load_rps = 300.0
    story.run(3)
    story.open(Cause.LOAD_SURGE)
    if proposed:
        story.run(4)
    return story


def deployed(text: str = "model v1 → v2") -> Story:
    """A version that takes far longer replaces the one that ran well."""
    story = Story(SimulatedService(slowness={"v1": 1.0, "v2": 10.0}, load_rps=100.0, max_batch=64))
    story.run(40)
    story.service.version = "v2"
    mark = Mark.of("shop", "deploy", story.clock.now_ms(), text, "ci")
    story.run(8)
    story.open(Cause.SLOW_VERSION, mark)
    story.run(3)
    return story
