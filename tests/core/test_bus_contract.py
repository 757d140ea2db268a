"""What every bus promises, one test a rule of `recwatch.core.bus`. Every implementation in `BUSES` runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from recwatch.core.bus import Bus, Position, Record, Subscription, next_offsets
from recwatch.core.bus.registry import BUSES
from recwatch.core.errors import BadInput, Unavailable

MakeBus = Callable[..., Bus]
LONG_S = 20.0
SERVICES = [f"service-{number}" for number in range(12)]


@pytest.fixture(params=sorted(BUSES))
def make_bus(request: pytest.FixtureRequest) -> Iterator[MakeBus]:
    made: list[Bus] = []

    def make(**limits: float) -> Bus:
        made.append(BUSES[request.param](**limits))
        return made[-1]

    yield make
    for bus in made:
        bus.close()


@pytest.fixture
def bus(make_bus: MakeBus) -> Bus:
    return make_bus()


def messages(records: Sequence[Record]) -> list[object]:
    return [record.message for record in records]


def test_a_key_keeps_its_order_and_its_partition(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    for number in range(50):
        for service in SERVICES:
            bus.publish("samples", service, (service, number))
    records = reader.poll(LONG_S)
    for service in SERVICES:
        mine = [record for record in records if record.key == service]
        assert messages(mine) == [(service, number) for number in range(50)]
        assert len({record.partition for record in mine}) == 1


def test_keys_spread_over_partitions_and_offsets_count_within_one(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    for service in SERVICES:
        bus.publish("samples", service, service)
    by_partition: dict[int, list[int]] = {}
    for record in reader.poll(LONG_S):
        by_partition.setdefault(record.partition, []).append(record.offset)
    assert len(by_partition) > 1
    assert all(offsets == list(range(offsets[0], offsets[0] + len(offsets))) for offsets in by_partition.values())


def test_a_group_gets_nothing_from_before_it_subscribed(bus: Bus) -> None:
    bus.publish("samples", "shop", "early")
    reader = bus.subscribe("g", ["samples"])
    bus.publish("samples", "shop", "late")
    assert messages(reader.poll(LONG_S)) == ["late"]


def test_records_published_between_two_subscriptions_of_a_group_are_kept_for_it(bus: Bus) -> None:
    bus.subscribe("g", ["samples"]).close()
    bus.publish("samples", "shop", "while away")
    assert messages(bus.subscribe("g", ["samples"]).poll(LONG_S)) == ["while away"]


def test_a_record_is_delivered_once_to_one_subscription(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    bus.publish("samples", "shop", 1)
    assert messages(reader.poll(LONG_S)) == [1]
    assert reader.poll(0) == []


def test_what_was_not_committed_is_delivered_again_and_what_was_is_not(bus: Bus) -> None:
    first = bus.subscribe("g", ["samples"])
    for number in range(4):
        bus.publish("samples", "shop", number)
    polled = first.poll(LONG_S)
    first.commit(next_offsets(polled[:2]))
    first.close()
    assert messages(bus.subscribe("g", ["samples"]).poll(LONG_S)) == [2, 3]


def test_a_commit_is_read_back_with_its_metadata_by_any_member(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    bus.publish("samples", "shop", 1)
    [record] = reader.poll(LONG_S)
    position = Position(record.topic, record.partition)
    assert reader.committed(position) is None
    reader.commit({position: record.offset + 1}, metadata='{"end": 7}')
    assert reader.committed(position) == (record.offset + 1, '{"end": 7}')
    reader.close()
    assert bus.subscribe("g", ["samples"]).committed(position) == (record.offset + 1, '{"end": 7}')


def test_groups_are_independent(bus: Bus) -> None:
    one, other = bus.subscribe("one", ["samples"]), bus.subscribe("other", ["samples"])
    bus.publish("samples", "shop", 1)
    one.commit(next_offsets(one.poll(LONG_S)))
    assert messages(other.poll(LONG_S)) == [1]


def test_members_of_a_group_share_the_partitions(bus: Bus) -> None:
    members = [bus.subscribe("g", ["samples"]) for _ in range(2)]
    for member in members:
        member.poll(0)
    for service in SERVICES:
        bus.publish("samples", service, service)
    shares = [member.poll(LONG_S) for member in members]
    assert all(shares)
    assert sorted(record.key for share in shares for record in share) == sorted(SERVICES)
    assert not {r.partition for r in shares[0]} & {r.partition for r in shares[1]}


def test_a_new_member_gets_its_share_once_the_owner_has_given_it_up(bus: Bus) -> None:
    story: list[tuple[str, str, int]] = []

    def note(who: str, what: str) -> Callable[[Sequence[Position]], None]:
        return lambda positions: story.extend((who, what, position.partition) for position in positions)

    first = bus.subscribe("g", ["samples"], note("first", "assigned"), note("first", "revoked"))
    first.poll(0)
    everything = {number for _, _, number in story}
    second = bus.subscribe("g", ["samples"], note("second", "assigned"), note("second", "revoked"))
    story.clear()
    assert second.poll(0) == []
    assert story == []
    first.poll(0)
    second.poll(0)
    revoked = [number for who, what, number in story if (who, what) == ("first", "revoked")]
    assert story == [("first", "revoked", n) for n in revoked] + [("second", "assigned", n) for n in revoked]
    assert 0 < len(revoked) < len(everything)


def test_a_member_can_still_commit_while_its_partitions_are_being_revoked(bus: Bus) -> None:
    polled: list[Record] = []
    first = bus.subscribe("g", ["samples"], on_revoked=lambda _: first.commit(next_offsets(polled)))
    first.poll(0)
    for service in SERVICES:
        bus.publish("samples", service, service)
    polled += first.poll(LONG_S)
    second = bus.subscribe("g", ["samples"])
    first.poll(0)
    assert second.poll(0) == []
    assert bus.lag("g") == 0


def test_a_member_that_lost_its_partitions_cannot_commit_them(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    bus.publish("samples", "shop", 1)
    polled = reader.poll(LONG_S)
    reader.close()
    with pytest.raises(Unavailable, match="another member"):
        reader.commit(next_offsets(polled))


def test_the_partitions_of_a_leaver_go_to_the_others_from_what_was_committed(bus: Bus) -> None:
    stays, leaves = (bus.subscribe("g", ["samples"]) for _ in range(2))
    for member in (stays, leaves):
        member.poll(0)
    for service in SERVICES:
        bus.publish("samples", service, service)
    mine, theirs = stays.poll(LONG_S), leaves.poll(LONG_S)
    assert mine
    assert theirs
    leaves.commit(next_offsets(theirs[:1]))
    leaves.close()
    assert {r.key for r in stays.poll(LONG_S)} == {r.key for r in theirs[1:]}


def test_a_compacted_topic_gives_a_late_group_the_last_record_of_every_key(bus: Bus) -> None:
    early = bus.subscribe("early", ["series"])
    for version in ("old", "new"):
        for service in SERVICES:
            bus.publish("series", service, (service, version))
    early.commit(next_offsets(early.poll(LONG_S)))
    late = bus.subscribe("late", ["series"])
    assert bus.lag("late") == len(SERVICES)
    polled = late.poll(LONG_S)
    assert sorted(messages(polled), key=str) == sorted(((service, "new") for service in SERVICES), key=str)
    late.commit(next_offsets(polled))
    assert bus.lag("late") == 0
    bus.publish("series", "service-3", "newest")
    assert messages(late.poll(LONG_S)) == ["newest"]


def test_a_group_that_follows_a_compacted_topic_gets_every_record(bus: Bus) -> None:
    reader = bus.subscribe("g", ["series"])
    for version in range(5):
        bus.publish("series", "shop", version)
    assert messages(reader.poll(LONG_S)) == [0, 1, 2, 3, 4]


def test_series_come_before_the_samples_that_need_them(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples", "series"])
    bus.publish("series", "shop", "definition")
    bus.publish("samples", "shop", "reading")
    assert messages(reader.poll(LONG_S)) == ["definition", "reading"]


def test_lag_counts_what_is_not_committed(bus: Bus) -> None:
    assert bus.lag("g") == 0
    reader = bus.subscribe("g", ["samples", "marks"])
    for number in range(3):
        bus.publish("samples", "shop", number)
    bus.publish("marks", "shop", "deploy")
    polled = reader.poll(LONG_S)
    assert bus.lag("g") == 4
    reader.commit(next_offsets([r for r in polled if r.topic == "samples"]))
    assert bus.lag("g") == 1


def test_a_full_bus_refuses_instead_of_dropping_and_names_the_slow_group(make_bus: MakeBus) -> None:
    bus = make_bus(partitions=1, capacity=2, max_block_s=0)
    slow, fast = bus.subscribe("slow", ["samples"]), bus.subscribe("fast", ["samples"])
    for number in range(2):
        bus.publish("samples", "shop", number)
    fast.commit(next_offsets(fast.poll(LONG_S)))
    with pytest.raises(Unavailable, match=r"samples partition 0 is full: slow has not committed"):
        bus.publish("samples", "shop", 2)
    bus.publish("marks", "shop", "another topic has room")
    polled = slow.poll(LONG_S)
    assert messages(polled) == [0, 1]
    slow.commit(next_offsets(polled))
    bus.publish("samples", "shop", 2)
    assert messages(slow.poll(LONG_S)) == messages(fast.poll(LONG_S)) == [2]


def test_without_readers_a_bus_never_fills(make_bus: MakeBus) -> None:
    bus = make_bus(partitions=1, capacity=2, max_block_s=0)
    for number in range(10):
        bus.publish("samples", "shop", number)
        bus.publish("series", "shop", number)
    assert messages(bus.subscribe("g", ["series", "samples"]).poll(LONG_S)) == [9]


def test_publish_waits_for_room(make_bus: MakeBus) -> None:
    bus = make_bus(partitions=1, capacity=3, max_block_s=LONG_S)
    reader = bus.subscribe("g", ["samples"])

    def publish() -> None:
        for number in range(20):
            bus.publish("samples", "shop", number)

    publisher = threading.Thread(target=publish)
    publisher.start()
    got: list[Record] = []
    while len(got) < 20:
        polled = reader.poll(LONG_S)
        assert 0 < len(polled) <= 3
        got += polled
        reader.commit(next_offsets(polled))
    publisher.join(LONG_S)
    assert messages(got) == list(range(20))


def test_a_waiting_poll_gets_what_is_published_meanwhile(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    got: list[Record] = []
    waiting = threading.Thread(target=lambda: got.extend(reader.poll(LONG_S)))
    waiting.start()
    bus.publish("samples", "shop", 1)
    waiting.join(LONG_S)
    assert messages(got) == [1]


def test_many_publishers_and_readers_lose_and_double_nothing(make_bus: MakeBus) -> None:
    bus = make_bus(capacity=16)
    each, services = 200, SERVICES[:4]
    readers = [bus.subscribe("g", ["samples"]) for _ in range(2)]
    done, counting = threading.Event(), threading.Lock()
    got: list[Record] = []

    def publish(service: str) -> None:
        for number in range(each):
            bus.publish("samples", service, (service, number))

    def read(reader: Subscription) -> None:
        while not done.is_set():
            polled = reader.poll(LONG_S)
            reader.commit(next_offsets(polled))
            with counting:
                got.extend(polled)
                if len(got) >= each * len(services):
                    done.set()
                    for each_reader in readers:
                        each_reader.close()

    threads = [threading.Thread(target=publish, args=(service,)) for service in services]
    threads += [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    for service in services:
        assert [r.message for r in got if r.key == service] == [(service, number) for number in range(each)]


def test_close_wakes_a_waiting_poll_and_a_waiting_publish(make_bus: MakeBus) -> None:
    bus = make_bus(partitions=1, capacity=1, max_block_s=LONG_S)
    full, idle = bus.subscribe("full", ["samples"]), bus.subscribe("idle", ["marks"])
    bus.publish("samples", "shop", 1)
    polled: list[Sequence[Record]] = []
    refused: list[Unavailable] = []

    def publish() -> None:
        try:
            bus.publish("samples", "shop", 2)
        except Unavailable as error:
            refused.append(error)

    threads = [threading.Thread(target=publish), threading.Thread(target=lambda: polled.append(idle.poll(LONG_S)))]
    for thread in threads:
        thread.start()
    bus.close()
    for thread in threads:
        thread.join(LONG_S / 2)
    assert polled == [[]]
    assert "is closed" in str(refused[0])
    assert full.poll(LONG_S) == []


def test_a_closed_subscription_polls_nothing(bus: Bus) -> None:
    reader = bus.subscribe("g", ["samples"])
    reader.close()
    reader.close()
    bus.publish("samples", "shop", 1)
    assert reader.poll(LONG_S) == []


def test_an_unknown_topic_is_named_with_the_known_ones(bus: Bus) -> None:
    with pytest.raises(BadInput, match=r"no topic sampels; its topics are: .*samples"):
        bus.subscribe("g", ["sampels"])
    with pytest.raises(BadInput, match="no topic sampels"):
        bus.publish("sampels", "shop", 1)
