"""Three real brokers: one is killed and comes back, and nobody loses or doubles anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from cluster.kafka import LocalKafka
from recwatch.core.bus import Bus, Subscription, next_offsets
from recwatch.core.bus.brokers import parse_brokers
from recwatch.core.bus.registry import kafka_bus
from recwatch.core.errors import Unavailable
from tests.conftest import kafka_here
from tests.core.messages import contents, word

LONG_S = 60.0
TOPIC = "recwatch.samples"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with kafka_here(tmp_path_factory.mktemp("three"), brokers=3) as running:
        yield running


def until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LONG_S
    while not done():
        assert time.monotonic() < deadline, f"within {LONG_S:.0f} s this did not happen: {what}"
        time.sleep(0.1)


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


def test_a_broker_is_killed_and_comes_back_and_nobody_notices(kafka: LocalKafka) -> None:
    place = parse_brokers(f"kafka://{kafka.plain}")
    with closing(kafka_bus(place, partitions=1, max_block_s=2.0, session_s=6.0)) as bus:
        with closing(KafkaAdminClient(**place.arguments())) as admin:
            [described] = admin.describe_topics([TOPIC])
            settings = admin.describe_configs([ConfigResource("TOPIC", TOPIC)], config_filter="all")["topic"][TOPIC]
        [partition] = described["partitions"]
        assert sorted(partition["replica_nodes"]) == [1, 2, 3]
        assert settings["min.insync.replicas"]["value"] == "2"
        reader = bus.subscribe("g", ["samples"])
        publish(bus, 0)
        assert gathered(reader, 1) == [0]

        leader = kafka.brokers[partition["leader_id"] - 1]
        leader.kill()
        for number in range(1, 6):
            publish(bus, number)
        assert gathered(reader, 5) == [1, 2, 3, 4, 5]

        leader.start()

        def in_sync() -> bool:
            with closing(KafkaAdminClient(**place.arguments())) as admin:
                [now] = admin.describe_topics([TOPIC])
            return len(now["partitions"][0]["isr_nodes"]) == 3

        until(in_sync, "all three brokers have every record")
        publish(bus, 6)
        assert gathered(reader, 1) == [6]
        assert bus.lag("g") == 0
