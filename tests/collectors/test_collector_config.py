import pytest
from pydantic import ValidationError

from collectors.config import ServiceConfig

URL = "http://127.0.0.1:8000/metrics"


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
    ],
)
def test_a_mistake_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ServiceConfig.model_validate({"name": "shop", "targets": [URL]} | change)
    assert words in str(refusal.value)
