"""Whatever stands in a configuration in the place of something good: a sentence for its writer, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from recwatch.app.config import read_config
from recwatch.core.errors import BadInput

GOOD = """
services:
  - name: shop
    targets:
      - http://127.0.0.1:8100/metrics
      - {url: "http://127.0.0.1:9400/metrics", kind: dcgm, basic_auth: {username: ana, password_file: /run/password}}
    static_configs: [{targets: ["10.0.0.1:8000"], labels: {zone: a}}]
    file_sd_configs: [{files: ["targets/*.json"]}]
    http_sd_configs: [{url: "http://10.0.0.9/targets", refresh_interval: 30s}]
    authorization: {type: Bearer, credentials_file: /run/token}
    tls_config: {ca_file: /run/ca.pem, server_name: shop, insecure_skip_verify: false}
    host: true
    nvml: false
    scheme: https
    metrics_path: /metrics
    params: {module: [gpu]}
    honor_timestamps: true
    scrape_interval: 1s
    scrape_timeout: 500ms
    body_size_limit: 10MB
    sample_limit: 1000
    label_limit: 30
    objective: {latency_p99: 150ms, errors_ratio: 0.01}
    tuning:
      actuator: {kind: http_knobs, url: "http://127.0.0.1:8100/knobs", timeout_s: 2.0}
      policies: {batching: {intervals: 3}, rollback: {baseline_s: 60.0}}
      approval: manual
      bounds: {max_batch: {low: 1, high: 64}}
      verify: {settle_s: 4.0, requests: 500}
  - {name: sent, receive: ['{job="ranker"}'], scrape_interval: 5s}
detection: {max_false_alarms_per_series_day: 0.5, also: {queue_depth: [level_shift]}}
notify:
  - {type: printer}
  - {type: webhook, url: "https://chat.example/hook", secret_env: SECRET, timeout_s: 5}
bus: memory
store: chdb://.recwatch/store
token_file: .recwatch/token
receive_token_file: .recwatch/receive-token
api: {port: 8300}
console: {port: 8301}
store_reader: {port: 8123, password_file: .recwatch/reader-password}
"""
Place = tuple[str | int, ...]


def places(content: Any, place: Place = ()) -> Iterator[Place]:
    """Where something stands: every key of every level, and every item."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield (*place, key)
        yield from places(value, (*place, key))


SCALARS = st.one_of(
    st.sampled_from(
        [
            "",
            "~",
            "null",
            "yes",
            "2026-11-25",
            "2026-13-45",
            "2026-11-25 25:61:00",
            "12:30:45",
            ".nan",
            "-.inf",
            "1e999",
            "0x1F",
        ]
    ),
    st.sampled_from(
        ["!!timestamp x", "!!int ''", "!!float ''", "!!bool perhaps", "!!binary '?'", "!!python/object:os.system x"]
    ),
    st.sampled_from(
        ["http://[", "'kafka://['", "'chdb://['", "999999999999999999999s", "9" * 500, "'{job='", "[[[[]]]]", "&a [*a]"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8).map(lambda text: yaml.safe_dump(text, default_style='"', width=10**6).strip()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(SCALARS | st.sampled_from(["url", "port", "name"]), inner, max_size=2).map(
            lambda pairs: f"{{{', '.join(f'? {key} : {value}' for key, value in pairs.items())}}}"
        )
    ),
    max_leaves=4,
)
HOLE = "HOLE-TO-FILL"


def with_hole(place: Place) -> str:
    """The good file with a hole at `place`."""
    content = yaml.safe_load(GOOD)
    at = content
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = HOLE
    return yaml.safe_dump(content, default_flow_style=True, width=10**6)


def refusal(text: str) -> list[str]:
    """What is said of a configuration; nothing of a good one."""
    try:
        read_config(text, "recwatch.yaml")
    except BadInput as error:
        return str(error).splitlines()
    return []


def test_the_file_is_good() -> None:
    assert refusal(GOOD) == []


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(places(yaml.safe_load(GOOD)), key=str)), VALUES)
def test_any_value_in_any_place_is_taken_or_refused_in_words(place: Place, value: str) -> None:
    said = refusal(with_hole(place).replace(HOLE, value))
    for line in said:
        assert line.startswith("recwatch.yaml: ")
        assert line.endswith(".")
        assert "Input should" not in line
        assert "pydantic" not in line
    keys = {part.rstrip("s") for part in place if isinstance(part, str)}
    assert not said or "is not YAML" in said[0] or any(key in line for key in keys for line in said)
