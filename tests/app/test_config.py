"""What may stand in a configuration, and the sentence for each thing that may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from recwatch.app.config import load_config, parse_config, read_config
from recwatch.core.errors import BadInput
from recwatch.core.store.connection import Embedded, parse_dsn

SERVICE: dict[str, Any] = {"name": "shop", "targets": ["http://127.0.0.1:8000/metrics"]}
PROMISE = {"latency_p99": "150ms"}


def refused(content: object) -> str:
    with pytest.raises(BadInput) as caught:
        parse_config(content, "recwatch.yaml")
    return str(caught.value)


def test_durations_are_written_as_in_prometheus() -> None:
    config = parse_config({"services": [{**SERVICE, "objective": {"latency_p99": "150ms"}}]}, "recwatch.yaml")
    objective = config.services[0].objective
    assert objective is not None
    assert objective.objective().latency_p99_seconds == pytest.approx(0.15)


def test_a_list_whose_only_item_is_wrong_is_not_called_empty() -> None:
    assert refused({"services": [{**SERVICE, "scrape_interval": "soon"}]}).count("\n") == 0


def test_an_unknown_key_names_file_key_and_valid_keys() -> None:
    sentence = refused({"services": [SERVICE], "servces": []})
    assert sentence.startswith("recwatch.yaml: unknown key 'servces'. Did you mean 'services'? Valid keys there: services,")


@pytest.mark.parametrize(
    ("service", "where", "valid"),
    [
        ({"objectve": {}}, "services[0].objectve", "objective, tuning"),
        ({"objective": {"latency_p9": "1s"}}, "services[0].objective.latency_p9", "latency_p99, errors_ratio"),
        ({"tuning": {"actuator": {"url": "http://x", "knd": 1}}}, "services[0].tuning.actuator.knd", "kind, url, timeout_s"),
    ],
)
def test_unknown_keys_are_found_at_any_depth(service: dict[str, Any], where: str, valid: str) -> None:
    sentence = refused({"services": [{**SERVICE, **service}]})
    assert f"unknown key '{where}'" in sentence
    assert valid in sentence


def test_an_unknown_key_of_a_notifier_names_that_notifiers_keys() -> None:
    sentence = refused({"services": [SERVICE], "notify": [{"type": "webhook", "url": "http://x", "secrt": "y"}]})
    assert "unknown key 'notify[0].webhook.secrt'. Did you mean 'secret_env'?" in sentence
    assert "Valid keys there: type, url, secret_file" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no keys"),
        ({"services": []}, "key 'services'"),
        ({"services": [{"name": "shop"}]}, "shop has no targets; give targets, static_configs"),
        ({"services": [{"targets": ["http://x/metrics"]}]}, "key 'services[0].name' is missing"),
        ({"services": [SERVICE], "api": {"port": "eighty"}}, "key 'api.port' is 'eighty'"),
        ({"services": [SERVICE], "api": {"host": "0.0.0.0"}}, "unknown key 'api.host'. Valid keys there: port"),
        ({"services": [SERVICE, SERVICE]}, "services ['shop'] are there twice"),
        (
            {"services": [SERVICE], "bus": "kafka:host"},
            "recwatch.yaml: 'kafka:host' names no bus; write memory for the one in this process, or kafka://host:9092,",
        ),
        (
            {"services": [SERVICE], "store": "clickhouse:/db"},
            "recwatch.yaml: key 'store' is 'clickhouse:/db': 'clickhouse:/db' names no store; write chdb:///path/to/folder",
        ),
        (
            {"services": [SERVICE], "api": {"port": 8301}},
            "recwatch.yaml: api.port and console.port are both 8301; give each a port of its own.",
        ),
        (
            {"services": [SERVICE], "store_reader": {"port": 8300}},
            "recwatch.yaml: api.port and store_reader.port are both 8300; give each a port of its own.",
        ),
        (
            {"services": [SERVICE], "spool": {"max_bytes": "1MiB"}},
            "key 'spool.max_bytes' is '1MiB': a spool needs at least 64MiB",
        ),
        (
            {"services": [SERVICE], "spool": {"bytes": 1}},
            "'spool.bytes'. Did you mean 'max_bytes'? Valid keys there: folder, max_bytes",
        ),
        ({"services": [{**SERVICE, "targets": ["ftp://x"]}]}, "is no HTTP address"),
    ],
)
def test_what_is_wrong_is_said_in_words(content: object, words: str) -> None:
    assert words in refused(content)


def test_the_spool_is_there_unless_it_is_configured_otherwise() -> None:
    usual = parse_config({"services": [SERVICE]}, "recwatch.yaml").spool
    assert (usual.folder, usual.max_bytes) == (Path(".recwatch/spool"), 2**30)
    other = parse_config({"services": [SERVICE], "spool": {"folder": "/var/spool", "max_bytes": "2GiB"}}, "recwatch.yaml")
    assert (other.spool.folder, other.spool.max_bytes) == (Path("/var/spool"), 2**31)


def test_every_path_is_as_seen_from_the_folder_of_the_file_that_names_it() -> None:
    credentials = {"authorization": {"credentials_file": "scrape"}}
    certificates = {"tls_config": {"ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem"}}
    lists = {"file_sd_configs": [{"files": ["targets/*.json"]}], "http_sd_configs": [{"url": "http://x/sd", **credentials}]}
    targets = [{"url": "http://x/metrics", "basic_auth": {"username": "ana", "password_file": "password"}}]
    content = {
        "services": [{"name": "shop", "targets": targets, **certificates, **lists}],
        "notify": [{"type": "webhook", "url": "http://x", "secret_file": "secret"}],
        "store_reader": {"port": 0},
    }
    config = parse_config(content, "/srv/r c#1/recwatch.yaml")
    assert {str(path.relative_to("/srv/r c#1")) for path in paths_in(config.model_dump())} == {
        *("scrape", "ca.pem", "cert.pem", "key.pem", "password", "secret"),
        *(f".recwatch/{name}" for name in ("token", "receive-token", "reader-password", "spool")),
    }
    assert config.services[0].file_sd_configs[0].files == ("/srv/r c#1/targets/*.json",)
    assert parse_dsn(config.store) == Embedded(Path("/srv/r c#1/.recwatch/store"))
    elsewhere = {**content, "token_file": "/run/token", "store": "chdb:///srv/store", "spool": {"folder": "spool"}}
    named = parse_config(elsewhere, "conf/recwatch.yaml")
    assert (named.token_file, named.store, named.spool.folder) == (
        Path("/run/token"),
        "chdb:///srv/store",
        Path("conf/spool"),
    )


def paths_in(dumped: object) -> Iterator[Path]:
    """Whatever lies in it that is a path."""
    if isinstance(dumped, Path):
        yield dumped
    elif isinstance(dumped, Mapping):
        yield from paths_in(tuple(dumped.values()))
    elif isinstance(dumped, tuple):
        yield from (path for inner in dumped for path in paths_in(inner))


def test_a_password_in_the_stores_address_is_refused_and_not_shown() -> None:
    sentence = refused({"services": [SERVICE], "store": "clickhouse://ada:hunter2@db/recwatch"})
    assert "the store's DSN holds a password; take it out" in sentence
    assert "hunter2" not in sentence


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    address = "http://ada:hunter2@127.0.0.1:1/knobs"
    for changed in ({"targets": [address]}, {"objective": PROMISE, "tuning": {"actuator": {"url": address}}}):
        sentence = refused({"services": [{**SERVICE, **changed}]})
        assert "the address of 127.0.0.1 holds a user or password" in sentence
        assert "hunter2" not in sentence


def test_what_is_tuned_promises_something() -> None:
    tuning = {"actuator": {"url": "http://127.0.0.1:1/knobs"}}
    assert refused({"services": [{**SERVICE, "tuning": tuning}]}) == (
        "recwatch.yaml: key 'services[0]': shop is to be tuned and promises nothing; give it an objective, "
        "or take tuning out."
    )


@pytest.mark.parametrize("url", ["127.0.0.1:1/knobs", "http://[::1/knobs"])
def test_knobs_are_somewhere(url: str) -> None:
    refused({"services": [{**SERVICE, "objective": PROMISE, "tuning": {"actuator": {"url": url}}}]})


def test_two_ports_that_are_chosen_at_the_start_do_not_collide() -> None:
    parse_config({"services": [SERVICE], "api": {"port": 0}, "console": {"port": 0}}, "recwatch.yaml")


def test_a_file_that_is_absent_or_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recwatch.yaml"
    with pytest.raises(BadInput, match=r"recwatch\.yaml: cannot be read"):
        load_config(path)
    path.write_text("services: [")
    with pytest.raises(BadInput, match=r"recwatch\.yaml: is not YAML"):
        load_config(path)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("services", "shop", "key 'services' is 'shop'; write a list, such as [first, second]."),
        ("notify", {"type": "printer"}, "key 'notify' is keys with values; write a list, such as [first, second]."),
        ("api", 8300, "key 'api' is 8300; write keys with their values below it, of port."),
        ("api", {"port": 99999}, "key 'api.port' is 99999; write a number of at most 65535."),
        ("token_file", [], "key 'token_file' is a list; write the path of a file, such as /run/secrets/token."),
        ("store", None, "key 'store' is empty; write text, such as shop, in quotes where it looks like a number."),
        (
            "notify",
            [{"type": "pager"}],
            "key 'notify[0]' has the type 'pager'; write one of 'printer', 'webhook' as its 'type'.",
        ),
        (
            "notify",
            [{"type": "webhook", "url": "chat.example/hook?token=hunter2"}],
            "key 'notify[0].webhook.url' cannot be used; write an address, such as https://chat.example/hook.",
        ),
    ],
)
def test_what_is_expected_is_said_in_our_own_words_with_an_example(key: str, value: object, sentence: str) -> None:
    assert refused({"services": [SERVICE], key: value}) == f"recwatch.yaml: {sentence}"


def test_a_selector_that_is_no_text_is_told_as_one() -> None:
    said = refused({"services": [{"name": "sent", "receive": [{"job": "ranker"}]}]})
    assert said.startswith("recwatch.yaml: key 'services[0].receive[0]': a series selector is text in quotes; write one")


def test_a_policys_fault_is_told_with_its_key() -> None:
    tuning = {"actuator": {"url": "http://127.0.0.1:1/knobs"}, "policies": {"batching": {"intervals": "many"}}}
    said = refused({"services": [{**SERVICE, "tuning": tuning}]})
    assert said == (
        "recwatch.yaml: key 'services[0].tuning.policies': in batching, key 'intervals' is 'many'; "
        "write a whole number, such as 5."
    )


@pytest.mark.parametrize("date", ["2026-13-45", "2026-11-25"])
def test_a_date_is_text_however_wrong_it_is(date: str) -> None:
    with pytest.raises(BadInput, match=r"'services\[0\].objective' is '"):
        read_config(f"services: [{{name: shop, targets: [http://127.0.0.1:1/m], objective: {date}}}]", "recwatch.yaml")


@pytest.mark.parametrize("value", ["!!timestamp tomorrow", "!!int ''", "9" * 5000])
def test_a_value_that_does_not_fit_its_tag_is_one_sentence(value: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_config(f"services: {value}", "recwatch.yaml")
    assert str(caught.value) == (
        "recwatch.yaml: is not YAML: a value does not fit its tag (!!), or is too long or too deep. Mend it."
    )


def test_what_is_no_yaml_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        read_config("services:\n  - name: [shop\n", "recwatch.yaml")
    assert str(caught.value).startswith("recwatch.yaml: is not YAML in line 3, column 1: ")
    assert "\n" not in str(caught.value)
