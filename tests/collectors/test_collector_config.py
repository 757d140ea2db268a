import pytest
from pydantic import ValidationError

from collectors.config import ServiceConfig
from collectors.http_config import HttpConfig

URL = "http://127.0.0.1:8000/metrics"
AUTH = {"username": "sre", "password_file": "/run/secrets/shop"}


def test_a_configuration_in_the_words_of_prometheus() -> None:
    config = ServiceConfig.model_validate(
        {
            "name": "shop",
            "targets": [URL, {"url": "http://10.0.0.2:9400/metrics", "kind": "dcgm"}],
            "scrape_interval": "15s",
            "scrape_timeout": "500ms",
            "body_size_limit": "2MB",
            "sample_limit": 500,
        }
    )
    assert [(target.url, target.kind) for target in config.targets] == [
        (URL, None),
        ("http://10.0.0.2:9400/metrics", "dcgm"),
    ]
    assert (config.scrape_interval, config.timeout_s, config.body_size_limit) == (15.0, 0.5, 2_000_000)


def test_the_defaults_scrape_every_second() -> None:
    config = ServiceConfig.model_validate({"name": "shop", "targets": [URL]})
    assert (config.scrape_interval, config.timeout_s, config.body_size_limit) == (1.0, 0.8, 10_000_000)
    assert (config.host, config.nvml) == (False, False)


def test_where_the_pages_of_static_targets_are() -> None:
    config = ServiceConfig.model_validate(
        {
            "name": "shop",
            "static_configs": [
                {"targets": ["10.0.0.1:8000", "10.0.0.2"], "labels": {"rack": 7}},
                {"targets": ["10.0.0.1:9400"], "labels": {"__scheme__": "http", "__metrics_path__": "/gpu", "job": "dcgm"}},
                {"targets": ["[::1]:9100"], "labels": {"__param_collect": "cpu", "__meta_zone": "eu"}},
            ],
            "scheme": "https",
            "params": {"format": ["text"]},
        }
    )
    rack = {"job": "shop", "rack": "7"}
    assert [(endpoint.url, dict(endpoint.labels)) for endpoint in config.endpoints()] == [
        ("https://10.0.0.1:8000/metrics?format=text", {"instance": "10.0.0.1:8000/metrics?format=text", **rack}),
        ("https://10.0.0.2/metrics?format=text", {"instance": "10.0.0.2/metrics?format=text", **rack}),
        ("http://10.0.0.1:9400/gpu?format=text", {"instance": "10.0.0.1:9400/gpu?format=text", "job": "dcgm"}),
        (
            "https://[::1]:9100/metrics?format=text&collect=cpu",
            {"instance": "[::1]:9100/metrics?format=text&collect=cpu", "job": "shop"},
        ),
    ]


def test_how_a_target_is_asked() -> None:
    tls = {"tls_config": {"insecure_skip_verify": True}}
    config = ServiceConfig.model_validate(
        {"name": "shop", "targets": [URL, {"url": "https://10.0.0.2/metrics", **tls}], "basic_auth": AUTH}
    )
    assert [endpoint.http for endpoint in config.endpoints()] == [
        HttpConfig.model_validate({"basic_auth": AUTH}),
        HttpConfig.model_validate(tls),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": []}, "has no targets"),
        ({"targets": ["127.0.0.1:8000"]}, "no HTTP address"),
        ({"targets": ["http://user:pass@127.0.0.1/metrics"]}, "holds a user or password"),
        ({"targets": ["http://[::1/metrics"]}, "is no URL"),
        ({"targets": [URL, URL]}, "listed twice"),
        (
            {"targets": [{"url": URL, "kind": "triton2"}]},
            "'triton2' is no kind of server; they are: recommender_ref, knative,",
        ),
        ({"targets": URL}, "valid tuple"),
        ({"scrape_interval": "soon"}, "'soon' is no duration"),
        ({"scrape_interval": "0s"}, "greater than 0"),
        ({"scrape_interval": 150}, "150 has no unit; write 150ms or 150s"),
        ({"scrape_timeout": 0.5}, "0.5 has no unit"),
        ({"scrape_interval": "16s"}, "16 s between scrapes is too long"),
        ({"scrape_interval": "1s", "scrape_timeout": "2s"}, "longer than scrape_interval"),
        ({"scrape_intervall": "1s"}, "Extra inputs are not permitted"),
        ({"body_size_limit": 0}, "greater than 0"),
        ({"label_limit": 0}, "greater than 0"),
        ({"static_configs": [{"targets": ["http://10.0.0.1/metrics"]}]}, "write host:port"),
        ({"static_configs": [{"targets": ["10.0.0.1:port"]}]}, "is no URL"),
        ({"static_configs": [{"targets": ["127.0.0.1:8000"]}]}, "listed twice"),
        ({"static_configs": [{"targets": [], "labels": {"0": "x"}}]}, "match pattern"),
        ({"file_sd_configs": [{"files": ["targets.txt"]}]}, "match pattern"),
        ({"file_sd_configs": [{"files": []}]}, "at least 1 item"),
        ({"http_sd_configs": [{"url": "10.0.0.1"}]}, "no HTTP address"),
        ({"authorization": {"credentials": "open secret"}}, "credentials_file"),
        ({"authorization": {"credentials_file": "a"}, "basic_auth": AUTH}, "give one of them"),
        ({"basic_auth": {"username": "a:b", "password_file": "a"}}, "match pattern"),
        ({"tls_config": {"cert_file": "a"}}, "belong together"),
    ],
)
def test_a_mistake_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ServiceConfig.model_validate({"name": "shop", "targets": [URL]} | change)
    assert words in str(refusal.value)
