"""Opening a bus on a real broker: its topics, its locks, and brokers that are away."""

from __future__ import annotations

import dataclasses
import logging
from contextlib import closing

import pytest
from kafka import KafkaAdminClient

from cluster.kafka import PASSWORD, USER, LocalKafka
from recwatch.core.bus import DUTIES, TOPICS
from recwatch.core.bus.brokers import (
    CA_VARIABLE,
    PASSWORD_FILE_VARIABLE,
    PASSWORD_VARIABLE,
    Brokers,
    parse_brokers,
)
from recwatch.core.bus.registry import awaited_bus, check_bus, kafka_bus, open_bus
from recwatch.core.errors import BadInput, Unavailable
from tests.conftest import paused
from tests.core.messages import LONG_S, MakeBus, contents, gathered, publish

fails_to_connect = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""kafka-python leaves sockets open where a connection fails."""


def test_a_bus_whose_brokers_are_awaited_is_reached_by_who_subscribes(brokers: Brokers, broker: LocalKafka) -> None:
    with closing(awaited_bus(str(brokers), max_block_s=5.0)) as bus:
        for ask in (lambda: publish(bus, "marks", "shop", 1), lambda: bus.lag("g"), lambda: bus.partition_of("shop")):
            with pytest.raises(Unavailable, match="cannot be reached yet; see whether its brokers are up"):
                ask()
        with paused(broker), pytest.raises(Unavailable, match="cannot be reached; see whether its brokers are up"):
            bus.subscribe("g", ["marks"])
        reader = bus.subscribe("g", ["marks"])
        publish(bus, "marks", "shop", 2)
        assert contents(gathered(reader, 1)) == [2]


def test_topics_are_made_as_words_need_them_and_found_again(
    make_bus: MakeBus, brokers: Brokers, admin: KafkaAdminClient
) -> None:
    from kafka.admin import ConfigResource  # noqa: PLC0415

    make_bus(partitions=3)
    assert make_bus(partitions=5).partitions == 3  # type: ignore[attr-defined]
    names = [f"{brokers.prefix}.{topic}" for topic in (*TOPICS, "dead_letters", DUTIES)]
    found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(names)}
    assert found == dict.fromkeys(names, 3) | {f"{brokers.prefix}.{DUTIES}": 1}
    described = admin.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")["topic"]
    policies = {name.partition(".")[2]: found["cleanup.policy"]["value"] for name, found in described.items()}
    assert {topic for topic, policy in policies.items() if policy == "compact"} == {
        "series",
        "derived_series",
        "targets",
        "holds",
    }
    assert described[f"{brokers.prefix}.samples"]["retention.ms"]["value"] == str(3 * 24 * 3600 * 1000)


def test_a_topic_that_is_not_as_it_must_be_is_named_with_the_mend(
    make_bus: MakeBus, brokers: Brokers, admin: KafkaAdminClient
) -> None:
    made = {f"{brokers.prefix}.{topic}": {"num_partitions": n} for topic, n in (("series", 1), ("marks", 2), (DUTIES, 2))}
    admin.create_topics(made, wait_for_metadata=True)
    with pytest.raises(BadInput) as refused:
        make_bus()
    torn, owners, duties_size, marks_size, policy, series_size = str(refused.value).splitlines()
    assert owners.endswith(
        f"topic {brokers.prefix}.duties must have one partition, or a duty has several owners, and it has 2"
    )
    assert f"{brokers.prefix}.series has 1" in torn
    assert f"{brokers.prefix}.marks has 2" in torn
    assert f"topic {brokers.prefix}.series has cleanup.policy=delete, and it must be compact; run kafka-configs.sh" in policy
    for line in (duties_size, marks_size, series_size):
        assert "has max.message.bytes=1048588, and it must be 16777216" in line


def test_a_check_makes_nothing_and_raises_what_opening_would(brokers: Brokers, admin: KafkaAdminClient) -> None:
    check_bus("memory")
    check_bus(str(brokers))
    name = f"{brokers.prefix}.series"
    assert not [topic for topic in admin.list_topics() if topic.startswith(brokers.prefix)]
    admin.create_topics({name: {"num_partitions": 1}}, wait_for_metadata=True)
    with pytest.raises(BadInput, match=f"topic {name} has cleanup.policy=delete, and it must be compact"):
        check_bus(str(brokers))


@fails_to_connect
def test_brokers_that_are_away_are_named(brokers: Brokers) -> None:
    away = dataclasses.replace(brokers, hosts=("127.0.0.1:1",))
    with pytest.raises(Unavailable, match=rf"bus kafka://127\.0\.0\.1:1/{brokers.prefix}: it cannot be reached"):
        kafka_bus(away)


@pytest.fixture
def locked(broker: LocalKafka, brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """The broker where it wants TLS and a password, which the environment knows."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setenv(CA_VARIABLE, str(broker.certificate))
    return parse_brokers(f"kafkas://{USER}@{broker.secure}/{brokers.prefix}")


def test_the_bus_works_over_tls_and_scram(make_bus: MakeBus, locked: Brokers) -> None:
    bus = make_bus(locked)
    reader = bus.subscribe("g", ["marks"])
    publish(bus, "marks", "shop", 1)
    assert contents(gathered(reader, 1)) == [1]


def test_a_password_may_be_in_a_file(
    make_bus: MakeBus, locked: Brokers, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("secret") / "password"
    file.write_text(PASSWORD + "\n")
    monkeypatch.delenv(PASSWORD_VARIABLE)
    monkeypatch.setenv(PASSWORD_FILE_VARIABLE, str(file))
    publish(make_bus(locked), "marks", "shop", 1)


@fails_to_connect
def test_a_wrong_password_is_said_and_not_repeated(locked: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "guess of a stranger")
    reasons = f"refuses the user or the password; see the DSN and {PASSWORD_VARIABLE}|if so, the user and the password"
    with pytest.raises((BadInput, Unavailable), match=reasons) as refused:
        kafka_bus(locked)
    assert "guess" not in str(refused.value)


@fails_to_connect
def test_a_certificate_that_nobody_vouches_for_is_refused(locked: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CA_VARIABLE)
    with pytest.raises(BadInput, match=f"its certificate is not trusted; see {CA_VARIABLE}"):
        kafka_bus(locked)


def test_no_secret_is_logged(make_bus: MakeBus, locked: Brokers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    publish(make_bus(locked), "marks", "shop", 1)
    assert PASSWORD not in caplog.text


def test_a_dsn_opens_the_bus_it_names(brokers: Brokers) -> None:
    bus = open_bus(str(brokers), max_block_s=LONG_S)
    publish(bus, "marks", "shop", 1)
    bus.close()
