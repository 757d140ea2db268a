"""What a bus's DSN may say, and where its secrets come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from recwatch.core.bus.brokers import (
    CA_VARIABLE,
    PASSWORD_FILE_VARIABLE,
    PASSWORD_VARIABLE,
    Brokers,
    parse_brokers,
)
from recwatch.core.errors import BadInput


def test_a_dsn_names_brokers() -> None:
    assert parse_brokers("kafka://a") == Brokers(("a:9092",))
    assert parse_brokers("kafkas://ana@a:1,b.c-d:2/fleet?mechanism=SCRAM-SHA-256") == Brokers(
        ("a:1", "b.c-d:2"), "fleet", "ana", tls=True, mechanism="SCRAM-SHA-256"
    )


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "kafka://",
        "kafka:///prefix",
        "kafka:host",
        "amqp://a",
        "a:9092",
        "kafka://a:port",
        "kafka://a,,b",
        "kafka://a/b/c",
        "kafka://a?mechanism=PLAIN",
        "kafka://a?tls=yes",
        "kafka://a#b",
    ],
)
def test_a_dsn_that_names_nothing_is_answered_with_what_would(dsn: str) -> None:
    with pytest.raises(BadInput, match="names no bus; write memory for the one in this process, or kafka://host:9092"):
        parse_brokers(dsn)


def test_a_password_in_a_dsn_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match=PASSWORD_VARIABLE) as refused:
        parse_brokers("kafka://ana:hush@a:9092")
    assert "hush" not in str(refused.value)


def test_a_password_comes_from_the_environment_or_from_a_file_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = parse_brokers("kafkas://ana@a")
    with pytest.raises(BadInput, match=f"put it in {PASSWORD_VARIABLE}, or its file in {PASSWORD_FILE_VARIABLE}"):
        place.arguments()
    monkeypatch.setenv(PASSWORD_FILE_VARIABLE, str(tmp_path / "password"))
    with pytest.raises(BadInput, match=f"{PASSWORD_FILE_VARIABLE} names {tmp_path}/password, which cannot be read"):
        place.arguments()
    (tmp_path / "password").write_text("hush\n")
    assert place.arguments()["sasl_plain_password"] == "hush"
    monkeypatch.setenv(PASSWORD_VARIABLE, "hushed")
    assert place.arguments()["sasl_plain_password"] == "hushed"
    assert "hushed" not in repr(place.arguments())


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CA_VARIABLE, str(tmp_path / "ca.pem"))
    with pytest.raises(BadInput, match=f"{CA_VARIABLE} names {tmp_path}/ca.pem, which cannot be read"):
        parse_brokers("kafkas://a").arguments()
    assert parse_brokers("kafka://a").arguments()["security_protocol"] == "PLAINTEXT"
