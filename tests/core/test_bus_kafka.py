"""What only a bus on Kafka promises: on a real broker, what is poison, lost or late."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from cluster.kafka import LocalKafka
from recwatch.core.bus import Bus, Position, Record, next_offsets
from recwatch.core.bus.brokers import (
    Brokers,
)
from recwatch.core.bus.codec import encode
from recwatch.core.bus.member import MOST_RECORDS
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.signals import Samples
from tests.conftest import paused
from tests.core.messages import LONG_S, MakeBus, contents, gathered, publish, word


def send_raw(brokers: Brokers, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(**brokers.arguments())
    for value in values:
        producer.send(f"{brokers.prefix}.{topic}", value, b"shop").get(timeout=LONG_S)
    producer.close()


def test_a_backlog_larger_than_two_polls_is_read_on_after_a_definition_came(brokers: Brokers, make_bus: MakeBus) -> None:
    """Reading the definition pauses what a poll has left of a fetch, which is the client's to give back."""
    count = 2 * MOST_RECORDS + 100
    bus = make_bus()
    bus.subscribe("reader", ["series", "marks"]).close()
    producer = KafkaProducer(**brokers.arguments())
    for number in range(count):
        producer.send(f"{brokers.prefix}.marks", encode("marks", word("marks", "shop", number)), b"shop")
    producer.flush()
    producer.close()
    reader = bus.subscribe("reader", ["series", "marks"])
    found = [*reader.poll(LONG_S)]
    assert 0 < len(found) <= MOST_RECORDS
    publish(bus, "series", "shop", "new")
    found += gathered(reader, count + 1 - len(found))
    assert contents([record for record in found if record.topic == "marks"]) == [*range(count)]


def raw_records(brokers: Brokers, topic: str, count: int) -> list[object]:
    consumer = KafkaConsumer(**brokers.arguments(), auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(f"{brokers.prefix}.{topic}", 0)])
    found: list[object] = []
    deadline = time.monotonic() + LONG_S
    while len(found) < count and time.monotonic() < deadline:
        found += [record for records in consumer.poll(timeout_ms=500).values() for record in records]
    consumer.close()
    return found


def test_a_poison_message_is_set_aside_with_its_reason_and_reading_goes_on(
    make_bus: MakeBus, brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    reader = bus.subscribe("g", ["marks"])
    publish(bus, "marks", "shop", 1)
    send_raw(brokers, "marks", b"poison", b"{}")
    publish(bus, "marks", "shop", 2)
    polled = gathered(reader, 2)
    assert contents(polled) == [1, 2]
    reader.commit(next_offsets(polled))
    assert bus.lag("g") == 0
    letters = raw_records(brokers, "dead_letters", 2)
    assert [letter.value for letter in letters] == [b"poison", b"{}"]  # type: ignore[attr-defined]
    assert dict(letters[1].headers) == {  # type: ignore[attr-defined]
        "topic": f"{brokers.prefix}.marks".encode(),
        "partition": b"0",
        "offset": b"2",
        "reason": b"no Mark: Field required at id",
    }
    assert "offset 1 is set aside in dead_letters: no Mark: Invalid JSON" in caplog.text


def test_poison_alone_leaves_no_lag_and_keeps_what_was_announced(make_bus: MakeBus, brokers: Brokers) -> None:
    bus = make_bus()
    reader = bus.subscribe("g", ["marks"])
    publish(bus, "marks", "shop", 1)
    [record] = gathered(reader, 1)
    position = Position("marks", 0)
    reader.commit({position: record.offset + 1}, {position: '{"end": 9}'})
    send_raw(brokers, "marks", b"poison", b"more of it")
    assert reader.poll(2.0) == []
    assert bus.lag("g") == 0
    assert reader.committed(position) == (3, '{"end": 9}')


def test_what_retention_deleted_unread_is_said(
    make_bus: MakeBus, brokers: Brokers, admin: KafkaAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    bus = make_bus()
    bus.subscribe("g", ["samples"]).close()
    for number in range(5):
        publish(bus, "samples", "shop", number)
    admin.delete_records({TopicPartition(f"{brokers.prefix}.samples", 0): 3})
    assert contents(gathered(bus.subscribe("g", ["samples"]), 2)) == [3, 4]
    assert "retention deleted 3 messages before group g read them" in caplog.text


def publish_patiently(bus: Bus, *messages: Samples) -> None:
    """Have a bus that waits but briefly for each acknowledgement try for as long as that takes here."""
    waiting = [("samples", message.service, message) for message in messages]
    deadline = time.monotonic() + LONG_S
    while waiting and time.monotonic() < deadline:
        with suppress(Unavailable):
            bus.publish_all(waiting)
    assert waiting == []


def test_a_message_whose_acknowledgement_is_late_is_published_once(
    make_bus: MakeBus, brokers: Brokers, broker: LocalKafka
) -> None:
    bus = make_bus(max_block_s=0.5)
    reader = bus.subscribe("g", ["samples"])
    publish_patiently(bus, word("samples", "shop", 1))
    late = word("samples", "shop", 2)
    with paused(broker):
        for _ in range(3):
            with pytest.raises(Unavailable, match="cannot be reached"):
                bus.publish("samples", "shop", late)
    publish_patiently(bus, late, word("samples", "shop", 3))
    assert contents(gathered(reader, 3)) == [1, 2, 3]
    assert len(raw_records(brokers, "samples", 3)) == 3


def test_of_several_those_that_are_late_are_published_once_and_in_order(
    make_bus: MakeBus, brokers: Brokers, broker: LocalKafka
) -> None:
    bus = make_bus(max_block_s=0.5)
    messages = [word("samples", "shop", number) for number in range(7)]
    publish_patiently(bus, messages[0])
    waiting = [("samples", "shop", message) for message in messages[1:6]]
    with paused(broker):
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be reached"):
                bus.publish_all(waiting)
            assert [message.target for _, _, message in waiting] == ["1", "2", "3", "4", "5"]
    publish_patiently(bus, *messages[1:])
    found = raw_records(brokers, "samples", 7)
    assert [record.value for record in found] == [encode("samples", message) for message in messages]  # type: ignore[attr-defined]


def test_a_group_with_members_is_not_forgotten_and_an_empty_one_is(
    make_bus: MakeBus, brokers: Brokers, admin: KafkaAdminClient
) -> None:
    bus = make_bus()
    reader = bus.subscribe("g", ["marks"])
    publish(bus, "marks", "shop", 1)
    gathered(reader, 1)
    with pytest.raises(Unavailable, match="still has members"):
        bus.forget("g")
    reader.close()
    bus.forget("g")
    assert not [group for group in admin.list_groups() if group["group_id"] == f"{brokers.prefix}.g"]


def test_a_member_that_stalls_loses_its_partitions_and_cannot_commit_them(make_bus: MakeBus) -> None:
    bus = make_bus(stall_s=3.0)
    sleeper = bus.subscribe("g", ["samples"])
    publish(bus, "samples", "shop", 1)
    polled = gathered(sleeper, 1)
    heir = bus.subscribe("g", ["samples"])
    assert contents(gathered(heir, 1)) == [1]
    with pytest.raises(Unavailable, match="another member"):
        sleeper.commit(next_offsets(polled))
    heir.commit(next_offsets(polled))


def test_what_a_callback_fails_of_is_raised_by_the_poll(make_bus: MakeBus) -> None:
    def refuse(positions: Sequence[Position]) -> None:
        raise Unavailable(f"no room for {positions}")

    reader = make_bus().subscribe("g", ["marks"], on_assigned=refuse)
    with pytest.raises(Unavailable, match=r"no room for \[Position\(topic='marks', partition=0\)\]"):
        reader.poll(LONG_S)


def test_poison_that_cannot_be_set_aside_yet_keeps_its_place(
    make_bus: MakeBus, brokers: Brokers, admin: KafkaAdminClient
) -> None:
    reader = make_bus(max_block_s=0.5).subscribe("g", ["marks"])
    bus = make_bus()
    publish(bus, "marks", "shop", 1)
    send_raw(brokers, "marks", b"poison")
    publish(bus, "marks", "shop", 2)
    letters = f"{brokers.prefix}.dead_letters"
    admin.delete_topics([letters])
    with pytest.raises((BadInput, Unavailable)):
        gathered(reader, 2)
    admin.create_topics({letters: {"num_partitions": 1}}, wait_for_metadata=True)
    deadline = time.monotonic() + LONG_S
    polled: list[Record] = []
    while len(polled) < 2 and time.monotonic() < deadline:
        with suppress(Unavailable):
            polled += reader.poll(0.5)
    assert contents(polled) == [1, 2]


def test_a_service_is_read_whole_by_one_member(make_bus: MakeBus) -> None:
    bus = make_bus(partitions=4)
    owned: list[set[Position]] = [set(), set()]
    members = [bus.subscribe("g", ["samples", "series", "marks"], mine.update, mine.difference_update) for mine in owned]
    deadline = time.monotonic() + LONG_S
    while not (all(owned) and sum(map(len, owned)) == 12) and time.monotonic() < deadline:
        for member in members:
            member.poll(0.1)
    numbers = [{position.partition for position in mine} for mine in owned]
    assert [len(mine) for mine in owned] == [6, 6]
    assert [len(mine) for mine in numbers] == [2, 2]


def test_a_message_that_is_too_large_is_refused(make_bus: MakeBus) -> None:
    bus = make_bus()
    with pytest.raises(BadInput, match="the message is too large"):
        publish(bus, "marks", "shop", "x" * 20_000_000)
    publish(bus, "marks", "shop", "x" * 2_000_000)


def test_what_the_bytes_of_a_message_are_is_what_the_codec_makes(make_bus: MakeBus, brokers: Brokers) -> None:
    message = word("samples", "shop", 1)
    make_bus().publish("samples", "shop", message)
    [record] = raw_records(brokers, "samples", 1)
    assert (record.key, record.value) == (b"shop", encode("samples", message))  # type: ignore[attr-defined]
