"""Three real brokers: one is killed and comes back, and nobody loses or doubles anything."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any, cast

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from cluster.kafka import LocalKafka
from recwatch.core.bus import TOPICS, Bus, Subscription, next_offsets
from recwatch.core.bus.brokers import Brokers, parse_brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.errors import Unavailable
from tests.conftest import kafka_here, let_go_of_sockets
from tests.core.messages import contents, word
from tests.waiting import until


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with kafka_here(tmp_path_factory.mktemp("three"), brokers=3) as running:
        yield running


@pytest.fixture(autouse=True)
def _sockets_of_a_broker_that_went_are_let_go() -> Iterator[None]:
    yield
    let_go_of_sockets()


def publish(bus: Bus, number: int) -> None:
    """As the stages do it: the same message again and again, until it is acknowledged."""
    message = word("samples", "shop", number)

    def taken() -> bool:
        with suppress(Unavailable):
            bus.publish("samples", "shop", message)
            return True
        return False

    until(taken, f"message {number} is acknowledged")


def gathered(reader: Subscription, count: int) -> list[Any]:
    found: list[Any] = []

    def all_there() -> bool:
        with suppress(Unavailable):
            records = reader.poll(1.0)
            found.extend(contents(records))
            if records:
                reader.commit(next_offsets(records))
        return len(found) >= count

    until(all_there, f"{count} messages are read")
    return found


def partition_of(place: Brokers, topic: str) -> Mapping[str, Any]:
    """How the only partition of a topic is kept just now."""
    with closing(KafkaAdminClient(**place.arguments())) as admin:
        [described] = admin.describe_topics([topic])
    [partition] = described["partitions"]
    return cast(Mapping[str, Any], partition)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # kafka-python leaves sockets open where a connection fails
@pytest.mark.parametrize("led", ["shop.samples", "__consumer_offsets"])
def test_the_broker_that_leads_is_killed_and_comes_back_and_nobody_notices(
    kafka: LocalKafka, caplog: pytest.LogCaptureFixture, led: str
) -> None:
    """What it leads: the messages, or what the groups have committed."""
    caplog.set_level(logging.CRITICAL, logger="kafka")  # its records would keep the sockets that fail
    place = parse_brokers(f"kafka://{kafka.plain}/shop")
    with closing(kafka_bus(place, partitions=1, max_block_s=2.0, session_s=6.0)) as bus:
        reader = bus.subscribe(led, ["samples"])
        publish(bus, 0)
        assert gathered(reader, 1) == [0]

        leader = kafka.brokers[partition_of(place, led)["leader_id"] - 1]
        leader.kill()
        for number in range(1, 6):
            publish(bus, number)
        assert gathered(reader, 5) == [1, 2, 3, 4, 5]
        assert bus.lag(led) == 0

        leader.start()
        until(lambda: len(partition_of(place, led)["isr_nodes"]) == 3, "all three brokers have every record")
        publish(bus, 6)
        assert gathered(reader, 1) == [6]
        assert bus.lag(led) == 0


def test_every_topic_has_a_copy_on_each_broker_and_two_must_have_a_record(kafka: LocalKafka) -> None:
    place = parse_brokers(f"kafka://{kafka.plain}/shop")
    kafka_bus(place, partitions=1).close()
    with closing(KafkaAdminClient(**place.arguments())) as admin:
        resources = [ConfigResource("TOPIC", f"shop.{topic}") for topic in TOPICS]
        described = admin.describe_configs(resources, config_filter="all")["topic"]
        topics = admin.describe_topics([*described])
    assert {topic["name"] for topic in topics} == {*described}
    assert all(sorted(topic["partitions"][0]["replica_nodes"]) == [1, 2, 3] for topic in topics)
    assert {settings["min.insync.replicas"]["value"] for settings in described.values()} == {"2"}
