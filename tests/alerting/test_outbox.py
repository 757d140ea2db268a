"""What is sent, how often, to whom, and what happens when it cannot be."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from threading import Event, Semaphore

import pytest

from alerting.courier import Patience
from alerting.message import Message
from alerting.outbox import Outbox, OutboxConfig
from recwatch.core.bus import Record
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Cause, Incident, RankedCause, Severity, Silence, Transition
from tests.alerting.scenarios import at_once

NOW_MS = 1_700_000_000_000
ENOUGH_S = 60.0


@dataclass(slots=True)
class Recorder:
    """A notifier that raises what it is told to, then delivers."""

    failures: list[Exception] = field(default_factory=list)
    tries: int = 0
    got: list[Message] = field(default_factory=list)
    closed: bool = False

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        self.got.append(message)

    def close(self) -> None:
        self.closed = True

    @property
    def occasions(self) -> list[str]:
        return [m.occasion for m in self.got]


@dataclass(slots=True)
class Hanging:
    """A notifier that takes each message only once it is released."""

    entered: Semaphore = field(default_factory=lambda: Semaphore(0))
    released: Event = field(default_factory=Event)

    def send(self, message: Message) -> None:
        self.entered.release()
        self.released.wait()

    def close(self) -> None:
        """Nothing is open."""


def incident(id_: str = "i1", severity: Severity = "page", cause: Cause = Cause.LOAD_SURGE) -> Incident:
    step = Transition("open", NOW_MS, "recwatch", "p99 latency is out of its objective")
    causes = (RankedCause(cause, 0.9, ()),)
    return Incident(id_, "shop", "open", severity, NOW_MS, None, "shop: p99 latency", causes, (), (), (step,))


def then(before: Incident, state: str, **changes: object) -> Incident:
    step = Transition(state, NOW_MS, "recwatch", "")
    kept = {"state": "resolved" if state == "resolved" else "open", "history": (*before.history, step), **changes}
    return replace(before, **kept)  # type: ignore[arg-type]


OPEN = incident()
RESOLVED = then(OPEN, "resolved", end_ms=NOW_MS + 5000)
OTHER_CAUSE = then(OPEN, "updated", causes=(RankedCause(Cause.SLOW_VERSION, 0.95, ()),))


def feed(outbox: Outbox, *messages: object, after_s: float = 0.0) -> None:
    records = [Record("incidents", 0, n, "shop", message) for n, message in enumerate(messages)]
    assert outbox.process(records, NOW_MS + round(1000 * after_s)) == ()


def test_one_message_at_the_start_and_one_at_the_end() -> None:
    told = Recorder()
    outbox = at_once({"a": told})
    feed(outbox, OPEN)
    feed(outbox, OPEN, after_s=1)
    feed(outbox, after_s=2)
    feed(outbox, RESOLVED, after_s=3)
    feed(outbox, OPEN, RESOLVED, after_s=4)
    feed(outbox, OPEN, after_s=5)
    assert told.occasions == ["open", "resolved"]
    assert len({m.id for m in told.got}) == 2
    assert (outbox.alerts_sent, outbox.alerts_failed) == ({"a": 2}, {"a": 0})


def test_at_most_one_update_for_a_changed_cause() -> None:
    told = Recorder()
    outbox = at_once({"a": told})
    feed(outbox, OPEN)
    feed(outbox, OTHER_CAUSE, after_s=1)
    feed(outbox, then(OTHER_CAUSE, "updated", causes=(RankedCause(Cause.CAPACITY, 1.0, ()),)), after_s=2)
    assert told.occasions == ["open", "cause"]


def test_what_resolved_before_anyone_was_told_is_not_sent() -> None:
    told = Recorder()
    feed(at_once({"a": told}), OPEN, RESOLVED)
    assert told.got == []


def test_flapping_is_told_once_and_then_silent() -> None:
    told, latest = Recorder(), OPEN
    outbox = at_once({"a": told})
    for flap in range(5):
        feed(outbox, latest, after_s=flap)
        latest = then(latest, "resolved")
        feed(outbox, latest, after_s=flap + 0.5)
        latest = then(latest, "open")
    assert told.occasions == ["open", "resolved", "reopened", "resolved"]
    silent = "Flaps    it opened 2 times; should it come back within 1 min, no message follows: watch it"
    assert [silent in message.text for message in told.got] == [False, False, False, True]


def test_a_ticket_waits_and_a_page_does_not() -> None:
    told = Recorder()
    outbox = at_once({"a": told})
    ticket = incident(severity="ticket")
    feed(outbox, ticket)
    feed(outbox, after_s=4.9)
    assert told.got == []
    feed(outbox, replace(ticket, severity="page"), after_s=4.95)
    assert told.occasions == ["open"]
    assert told.got[0].subject.startswith("[PAGE]")


def test_a_ticket_that_becomes_a_page_later_says_so() -> None:
    told = Recorder()
    outbox = at_once({"a": told})
    ticket = incident(severity="ticket")
    feed(outbox, ticket)
    feed(outbox, after_s=5)
    feed(outbox, replace(ticket, severity="page"), after_s=60)
    assert [m.subject.split("]")[0] for m in told.got] == ["[TICKET", "[NOW A PAGE"]


def silence(cause: Cause | None = None, end_s: int = 60, service: str = "shop") -> Silence:
    return Silence("s1", service, cause, NOW_MS, NOW_MS + 1000 * end_s, "ana", "load test")


def test_a_silenced_incident_is_kept_and_sent_when_the_silence_ends() -> None:
    told = Recorder()
    outbox = at_once({"a": told})
    feed(outbox, OPEN, silence())
    feed(outbox, after_s=59)
    assert told.got == []
    feed(outbox, after_s=60)
    assert told.occasions == ["open"]


def test_a_lifted_silence_and_one_of_another_cause_or_service_hide_nothing() -> None:
    told = Recorder()
    feed(at_once({"a": told}), silence(Cause.GPU_FAULT), OPEN)
    feed(at_once({"a": told}), silence(service="search"), OPEN)
    feed(at_once({"a": told}), silence(), silence(end_s=0), OPEN)
    assert told.occasions == ["open"] * 3


def test_a_failing_notifier_is_tried_again_and_holds_up_no_other() -> None:
    failing = Recorder([Unavailable("down"), Unavailable("down"), Unavailable("busy", 30)])
    fine = Recorder()
    outbox = at_once({"failing": failing, "fine": fine})
    feed(outbox, OPEN)
    assert (fine.occasions, failing.occasions, outbox.pending) == (["open"], [], 1)
    for after_s, tries in ((0.9, 1), (1, 2), (2.9, 2), (3, 3), (32.9, 3), (33, 4)):
        feed(outbox, after_s=after_s)
        assert failing.tries == tries
    assert (failing.occasions, outbox.pending) == (["open"], 0)
    assert (outbox.alerts_sent, outbox.alerts_failed) == ({"failing": 1, "fine": 1}, {"failing": 0, "fine": 0})


def test_a_notifier_that_hangs_holds_up_no_other_and_keeps_its_messages() -> None:
    hanging, fine = Hanging(), Hanging()
    fine.released.set()
    outbox = Outbox({"hanging": hanging, "fine": fine})
    feed(outbox, OPEN)
    assert hanging.entered.acquire(timeout=ENOUGH_S)
    feed(outbox, RESOLVED)
    for _ in range(2):
        assert fine.entered.acquire(timeout=ENOUGH_S)
        feed(outbox)
    after = at_once({"hanging": (late := Recorder())})
    after.restore(outbox.snapshot())
    feed(after)
    assert late.occasions == ["open", "resolved"]
    hanging.released.set()


def test_a_bug_of_a_notifier_is_raised_where_the_stage_runs() -> None:
    outbox = at_once({"a": Recorder([ZeroDivisionError("a bug")])})
    feed(outbox, OPEN)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        feed(outbox)


def test_messages_keep_their_order_behind_one_that_waits() -> None:
    failing = Recorder([Unavailable("down", 10)])
    outbox = at_once({"a": failing})
    feed(outbox, OPEN)
    feed(outbox, RESOLVED, after_s=1)
    feed(outbox, after_s=10)
    assert failing.occasions == ["open", "resolved"]


def test_the_last_attempt_and_a_refusal_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    hopeless = Recorder([Unavailable("down", 1)] * 3)
    refused = Recorder([BadInput("webhook shop answered 404")])
    outbox = at_once({"hopeless": hopeless, "refused": refused}, OutboxConfig(Patience(attempts=3)))
    with caplog.at_level(logging.WARNING):
        for second in range(10):
            feed(outbox, OPEN, after_s=second)
    assert (hopeless.tries, refused.tries, outbox.pending) == (3, 1, 0)
    assert outbox.alerts_failed == {"hopeless": 1, "refused": 1}
    assert "gave up after 3 attempts" in caplog.text
    assert "answered 404" in caplog.text


def test_closing_closes_every_notifier() -> None:
    told = {"a": Recorder(), "b": Recorder()}
    at_once(told).close()
    assert [recorder.closed for recorder in told.values()] == [True, True]


def test_a_restart_neither_loses_nor_repeats_a_message() -> None:
    failing, fine = Recorder([Unavailable("down", 5)]), Recorder()
    before = at_once({"failing": failing, "fine": fine, "gone": Recorder()})
    feed(before, OPEN)
    after = at_once({"failing": failing, "fine": fine, "new": Recorder()})
    after.restore(before.snapshot())
    feed(after, OPEN, after_s=5)
    assert (failing.occasions, fine.occasions) == (["open"], ["open"])


def test_the_text_helps_at_night() -> None:
    told = Recorder()
    outbox = at_once({"a": told}, OutboxConfig(console_url="http://127.0.0.1:8501"))
    feed(outbox, OPEN)
    text = told.got[0].text
    assert text.splitlines()[0] == "[PAGE] shop: p99 latency"
    for line in (
        "When     since 2023-11-14 22:13:20 UTC",
        "Cause    load surge, 90 % sure",
        "http://127.0.0.1:8501/?incident=i1",
    ):
        assert line in text
