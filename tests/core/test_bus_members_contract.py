"""What every bus promises the members of a group: who owns what, when it moves, and from where the next one reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from recwatch.core.bus import DUTIES, Bus, Position, Record, Subscription, next_offsets
from recwatch.core.errors import Unavailable
from tests.core.messages import LONG_S, contents, gathered, publish

SERVICES = [f"service-{number}" for number in range(12)]


class Member:
    """A subscription that notes what happens to its partitions in a story it may share with others."""

    def __init__(
        self,
        bus: Bus,
        name: str = "member",
        story: list[tuple[str, str, Position]] | None = None,
        topics: Sequence[str] = ("samples",),
    ) -> None:
        self.gained_in = 0
        self.owned: set[Position] = set()
        self.polled: list[Record] = []
        self.last_act: Callable[[], None] = lambda: None
        self._name = name
        self._story = [] if story is None else story
        self.subscription = bus.subscribe("g", topics, self._assigned, self._revoked)

    def _assigned(self, positions: Sequence[Position]) -> None:
        self.gained_in = self.subscription.generation
        self.owned.update(positions)
        self._story += [(self._name, "assigned", position) for position in positions]

    def _revoked(self, positions: Sequence[Position]) -> None:
        self.last_act()
        self.owned.difference_update(positions)
        self._story += [(self._name, "revoked", position) for position in positions]


def settle(members: Sequence[Member], take_part: Callable[[Subscription], Sequence[Record]], partitions: int = 4) -> None:
    """Let each member take part, in a thread of its own, until all partitions are shared out among them."""
    deadline = time.monotonic() + LONG_S

    def settled() -> bool:
        owned = [len(member.owned) for member in members]
        return all(owned) and sum(owned) == partitions

    def drive(member: Member) -> None:
        while not settled() and time.monotonic() < deadline:
            member.polled += take_part(member.subscription)

    with ThreadPoolExecutor(len(members)) as threads:
        list(threads.map(drive, members))
    assert settled()


def polls(subscription: Subscription) -> Sequence[Record]:
    return subscription.poll(0.05)


def attends(subscription: Subscription) -> Sequence[Record]:
    subscription.attend()
    return ()


def test_members_of_a_group_share_the_partitions(bus: Bus) -> None:
    members = [Member(bus) for _ in range(2)]
    settle(members, polls)
    for service in SERVICES:
        publish(bus, "samples", service, service)
    deadline = time.monotonic() + LONG_S
    while sum(len(member.polled) for member in members) < len(SERVICES) and time.monotonic() < deadline:
        for member in members:
            member.polled += polls(member.subscription)
    shares = [member.polled for member in members]
    assert all(shares)
    assert sorted(record.key for share in shares for record in share) == sorted(SERVICES)
    assert not {r.partition for r in shares[0]} & {r.partition for r in shares[1]}


@pytest.mark.parametrize("take_part", [polls, attends])
def test_a_new_member_gets_its_share_once_the_owner_has_given_it_up(
    bus: Bus, take_part: Callable[[Subscription], Sequence[Record]]
) -> None:
    story: list[tuple[str, str, Position]] = []
    first = Member(bus, "first", story)
    settle([first], polls)
    everything = set(first.owned)
    second = Member(bus, "second", story)
    story.clear()
    settle([first, second], take_part)
    revoked = [position for who, what, position in story if (who, what) == ("first", "revoked")]
    assert story == [("first", "revoked", p) for p in revoked] + [("second", "assigned", p) for p in revoked]
    assert 0 < len(revoked) < len(everything)


def test_who_attends_takes_no_record(bus: Bus) -> None:
    member = Member(bus)
    publish(bus, "samples", "shop", 1)
    settle([member], attends)
    member.subscription.attend()
    assert contents(gathered(member.subscription, 1)) == [1]


def test_a_member_can_still_commit_while_its_partitions_are_being_revoked(bus: Bus) -> None:
    first = Member(bus)
    settle([first], polls)
    for service in SERVICES:
        publish(bus, "samples", service, service)
    polled = gathered(first.subscription, len(SERVICES))
    first.last_act = lambda: first.subscription.commit(next_offsets(polled))
    second = Member(bus)
    settle([first, second], polls)
    assert second.polled == []
    assert bus.lag("g") == 0


def test_a_member_that_lost_its_partitions_cannot_commit_them(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", 1)
    polled = gathered(reader, 1)
    reader.close()
    with pytest.raises(Unavailable, match="another member"):
        reader.commit(next_offsets(polled))


def test_the_partitions_of_a_leaver_go_to_the_others_from_what_was_committed(bus: Bus) -> None:
    stays, leaves = Member(bus), Member(bus)
    settle([stays, leaves], polls)
    for service in SERVICES:
        publish(bus, "samples", service, service)
    theirs: list[Record] = []
    while len(stays.polled) + len(theirs) < len(SERVICES):
        stays.polled += polls(stays.subscription)
        theirs += polls(leaves.subscription)
    assert stays.polled
    assert theirs
    leaves.subscription.commit(next_offsets(theirs[:1]))
    leaves.subscription.close()
    assert {r.key for r in gathered(stays.subscription, len(theirs) - 1)} == {r.key for r in theirs[1:]}


def test_a_member_that_gains_a_compacted_partition_from_another_gets_its_keys(bus: Bus) -> None:
    first = Member(bus, topics=("series",))
    settle([first], polls)
    for service in SERVICES:
        publish(bus, "series", service, service)
    first.subscription.commit(next_offsets(gathered(first.subscription, len(SERVICES))))
    second = Member(bus, topics=("series",))
    settle([first, second], polls)
    first.subscription.close()
    deadline = time.monotonic() + LONG_S
    while len({r.key for r in second.polled}) < len(SERVICES) and time.monotonic() < deadline:
        second.polled += polls(second.subscription)
    assert {r.key for r in second.polled} == set(SERVICES)


def test_no_record_comes_before_its_reader_could_begin(bus: Bus) -> None:
    told: list[Sequence[Position]] = []

    def begin(positions: Sequence[Position]) -> None:
        told.append(positions)
        if len(told) < 3:
            raise Unavailable("not yet")

    reader = bus.subscribe("g", [DUTIES], on_assigned=begin)
    for _ in range(2):
        with pytest.raises(Unavailable, match="not yet"):
            reader.poll(LONG_S)
    reader.poll(1.0)
    assert told == [[Position(DUTIES, 0)]] * 3


def test_a_duty_has_one_owner_at_a_time_each_in_a_later_generation(bus: Bus) -> None:
    members = [Member(bus, str(number), topics=(DUTIES,)) for number in range(2)]
    generations: list[int] = []
    deadline = time.monotonic() + LONG_S
    while len(generations) < 4 and time.monotonic() < deadline:
        for member in members:
            member.subscription.poll(0.05)
        owners = [member for member in members if member.owned]
        assert [member.owned for member in owners] in ([], [{Position(DUTIES, 0)}])
        for owner in owners:
            generations.append(owner.gained_in)
            owner.subscription.commit({Position(DUTIES, 0): 0})
            owner.subscription.close()
            members.remove(owner)
            members.append(Member(bus, topics=(DUTIES,)))
    assert generations == sorted(set(generations))
    assert len(generations) == 4
