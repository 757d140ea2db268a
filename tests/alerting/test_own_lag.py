"""recwatch's own lag, in whole stories: who is told, of what, and when it is over."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from alerting.message import message_of
from alerting.own_lag import FOLLOWERS, READER, OwnLag
from recwatch.core.bus import Record
from recwatch.core.clock import FakeClock
from recwatch.core.errors import BadInput
from recwatch.core.events import Incident
from recwatch.core.progress import OWN, Progress

INTERVALS_S = {"shop": 1.0, "sent": 60.0}
STAGES = (READER, *FOLLOWERS)
TOLD_EVERY_S = 5


class Story:
    """A deployment whose stages come as far as they are let, and tell so every five seconds."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stage = self.new_stage()
        self.told: list[Incident] = []
        self.until_ms: dict[str, dict[str, int]] = {}

    def new_stage(self) -> OwnLag:
        return OwnLag(INTERVALS_S, ["shop"])

    def run(self, seconds: int, stopped: Collection[str] = (), services: Collection[str] = ("shop",)) -> None:
        for second in range(seconds):
            self.clock.advance(1.0)
            for stage in STAGES:
                if stage not in stopped:
                    self.until_ms[stage] = dict.fromkeys(services, self.clock.now_ms())
            told = self.until_ms if second % TOLD_EVERY_S == 0 else {}
            self.give({stage: until for stage, until in told.items() if stage not in stopped})

    def give(self, told: Mapping[str, Mapping[str, int]]) -> None:
        records = [Record("progress", 0, 0, stage, Progress(stage, until)) for stage, until in told.items()]
        for outgoing in self.stage.process(records, self.clock.now_ms()):
            assert (outgoing.topic, outgoing.key, outgoing.message.service) == ("incidents", OWN, OWN)
            self.told.append(outgoing.message)

    @property
    def titles(self) -> list[str]:
        return [incident.title for incident in self.told]


@pytest.fixture
def story() -> Story:
    found = Story()
    found.run(60)
    assert found.told == []
    return found


@pytest.mark.parametrize("stage", FOLLOWERS)
def test_a_stage_that_stops_pages_and_is_over_once_it_has_caught_up(story: Story, stage: str) -> None:
    story.run(38, stopped=[stage])
    (opened,) = story.told
    assert opened.title == f"recwatch is 35 s behind on shop: {stage}"
    assert (opened.state, opened.severity, opened.cause) == ("open", "page", "monitor_behind")
    story.run(25)
    assert story.told == [opened]
    story.run(15)
    over = story.told[-1]
    assert (over.id, over.state, [step.state for step in over.history]) == (opened.id, "resolved", ["open", "resolved"])
    story.run(60)
    assert len(story.told) == 2


def test_less_than_half_a_minute_is_no_lag(story: Story) -> None:
    story.run(29, stopped=["sink"])
    story.run(60)
    assert story.told == []


def test_a_service_that_nobody_reads_is_the_collectors_lag(story: Story) -> None:
    story.run(40, stopped=STAGES)
    assert story.titles == ["recwatch is 34 s behind on shop: collectors"]


def test_collectors_that_never_read_are_late_and_what_is_never_sent_is_not() -> None:
    story = Story()
    story.run(300, stopped=STAGES)
    assert story.titles == ["recwatch is 34 s behind on shop: collectors"]
    assert story.told[0].causes[0].evidence[0].text == "collectors read nothing at all of shop"


def test_a_longer_interval_gives_more_time(story: Story) -> None:
    story.run(10, services=("shop", "sent"))
    story.run(250, stopped=["detectors"], services=("shop", "sent"))
    assert story.titles == [
        "recwatch is 35 s behind on shop: detectors",
        "recwatch is 3 min 35 s behind on shop: detectors, and 1 more",
    ]


def test_what_else_falls_behind_is_told_under_the_same_id(story: Story) -> None:
    story.run(50, stopped=["sink"])
    story.run(50, stopped=["sink", "detectors"])
    first, second = story.told
    assert second.id == first.id
    assert second.title == "recwatch is 1 min 25 s behind on shop: sink, and 1 more"
    assert [e.text.partition(" handled")[0] for e in second.causes[0].evidence] == ["sink", "detectors"]


def test_who_was_away_itself_does_not_judge_by_what_it_heard_before(story: Story) -> None:
    story.clock.advance(3600)
    story.give({})
    story.run(30)
    assert story.told == []


def test_an_open_incident_outlives_its_owner(story: Story) -> None:
    story.run(40, stopped=["sink"])
    kept, story.stage = story.stage.snapshot(), story.new_stage()
    story.stage.restore(kept)
    story.run(60)
    assert [(incident.id, incident.state) for incident in story.told] == [
        (story.told[0].id, "open"),
        (story.told[0].id, "resolved"),
    ]
    with pytest.raises(BadInput, match="start without it"):
        story.new_stage().restore(b"[1, 2]")


def test_the_message_says_it_all(story: Story) -> None:
    story.run(38, stopped=["detectors"])
    text = message_of(story.told[0], "open", story.clock.now_ms()).text
    assert text.splitlines() == [
        "[PAGE] recwatch is 35 s behind on shop: detectors",
        "",
        "When     since 2023-11-14 22:14:16 UTC",
        "Cause    monitor behind, 100 % sure",
        "         - detectors handled nothing newer than 2023-11-14 22:14:16 UTC of shop",
        "Changed  nothing known in the 2 min before",
        "First    See whether that role of recwatch runs and keeps up; until it does, alarms come late or never.",
    ]
