"""A duty has one owner: who follows knows what was done, and who lost it does nothing more."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import count

import pytest

from alerting.message import Message
from alerting.outbox import Outbox
from recwatch.app.duty import Duty
from recwatch.core.bus import Bus
from recwatch.core.clock import FakeClock
from recwatch.core.store import Store
from tests.core.examples import INCIDENT
from tests.fates import Died, Fate, FatedBus, FatedStore

LONG_S = 60.0
NUMBERS = count()


class Phone:
    """Notes what it is sent, by whoever has it."""

    def __init__(self) -> None:
        self.number = next(NUMBERS)
        self.rang: list[Message] = []

    def send(self, message: Message) -> None:
        self.rang.append(message)

    def close(self) -> None:
        """It is everyone's."""


class Watchman:
    """A process that has the duty to send messages, or waits for it."""

    def __init__(self, bus: Bus, store: Store, phone: Phone, fate: Fate | None = None) -> None:
        fate = fate or Fate()
        self.bus = FatedBus(bus, fate)
        self._kept = FatedStore(store, fate, corner=f"{phone.number} ")
        self.duty = Duty("outbox", Outbox.topics, lambda: self._outbox(phone), self.bus, FakeClock(), self._kept)

    @staticmethod
    def _outbox(phone: Phone) -> Outbox:
        return Outbox({"phone": phone}, start=lambda work: work())

    @property
    def would_be_repeated(self) -> bool:
        """Whether it has sent what is not kept as sent."""
        kept = self._kept.load_snapshot("outbox")
        return self.duty.stage is not None and (kept is None or kept.blob != self.duty.stage.snapshot())

    @property
    def owns(self) -> bool:
        return self.duty.stage is not None


def publish(bus: Bus, *numbers: int) -> None:
    for number in numbers:
        bus.publish("incidents", f"shop-{number}", replace(INCIDENT, id=f"incident-{number}", service=f"shop-{number}"))


def work(*watchmen: Watchman, until: int, phone: Phone) -> None:
    """Let them work until so many messages are sent."""
    deadline = time.monotonic() + LONG_S
    while len(phone.rang) < until and time.monotonic() < deadline:
        for watchman in watchmen:
            watchman.duty.step(0.02)
    assert len(phone.rang) == until


def idle(*watchmen: Watchman, rounds: int = 20) -> None:
    for _ in range(rounds):
        for watchman in watchmen:
            watchman.duty.step(0.02)


def test_one_of_two_works_and_who_follows_sends_nothing_again(bus: Bus, store: Store) -> None:
    phone = Phone()
    first, second = Watchman(bus, store, phone), Watchman(bus, store, phone)
    publish(bus, 1, 2, 3)
    work(first, second, until=3, phone=phone)
    owner, waiting = (first, second) if first.owns else (second, first)
    assert (owner.owns, waiting.owns) == (True, False)
    owner.duty.close()
    publish(bus, 4)
    work(waiting, until=4, phone=phone)
    idle(waiting)
    assert waiting.owns
    assert sorted(message.incident.id for message in phone.rang) == [f"incident-{number}" for number in range(1, 5)]
    waiting.duty.close()


@pytest.mark.parametrize("when", ["before keeping", "after keeping", "before committing", "after committing"])
def test_who_follows_the_dead_sends_nothing_that_was_kept_as_sent(bus: Bus, store: Store, when: str) -> None:
    phone, numbers = Phone(), count(1)
    first = Watchman(bus, store, phone, Fate(when, 3))
    with suppress(Died):
        for number in numbers:
            publish(bus, number)
            work(first, until=number, phone=phone)
    repeated = first.would_be_repeated
    assert repeated or when != "before keeping"
    assert not repeated or when != "after keeping"
    first.bus.gone()
    second = Watchman(bus, store, phone)
    last = next(numbers)
    publish(bus, last)
    deadline = time.monotonic() + LONG_S
    while phone.rang[-1].incident.id != f"incident-{last}" and time.monotonic() < deadline:
        second.duty.step(0.02)
    idle(second)
    sent = Counter(message.incident.id for message in phone.rang)
    assert set(sent) == {f"incident-{number}" for number in range(1, last + 1)}
    assert sent.total() - last == repeated
    second.duty.close()


def test_who_lost_the_duty_while_it_slept_sends_nothing_when_it_wakes(kafka: Bus, store: Store) -> None:
    phone = Phone()
    heir = Watchman(kafka, store, phone)

    def sleep() -> None:
        """For as long as the heir needs to get the duty and to do what was asked of the sleeper."""
        sleeper.bus.overslept()
        work(heir, until=1, phone=phone)

    sleeper = Watchman(kafka, store, phone, Fate("after polling", 0, sleep))
    deadline = time.monotonic() + LONG_S
    while not sleeper.owns and time.monotonic() < deadline:
        sleeper.duty.step(0.05)
    publish(kafka, 1)
    while not heir.owns and time.monotonic() < deadline:
        sleeper.duty.step(0.05)
    idle(sleeper, heir)
    assert [message.incident.id for message in phone.rang] == ["incident-1"]
    assert [watchman.owns for watchman in (sleeper, heir)] == [False, True]


def test_what_was_published_before_there_is_an_owner_is_sent(bus: Bus, store: Store) -> None:
    phone = Phone()
    watchman = Watchman(bus, store, phone)
    publish(bus, 1)
    work(watchman, until=1, phone=phone)
    watchman.duty.close()
