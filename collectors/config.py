"""What to measure, and how often; the words are Prometheus's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, PositiveInt, field_validator, model_validator

from collectors.endpoint import Endpoint, url_of
from collectors.http_config import HttpConfig
from collectors.normalise import NORMALISERS
from collectors.selector import Selector
from recwatch.core.errors import BadInput
from recwatch.core.http_address import require_http
from recwatch.core.paths import ConfiguredPattern

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


LONGEST_INTERVAL_S = 15.0


def seconds(text: Any) -> float | None:
    """A duration in Prometheus's spelling, such as `1s`, `500ms` or `1m`, as seconds; None stays None.

    >>> seconds("500ms")
    0.5
    """
    if text is None:
        return None
    if isinstance(text, int | float) and not isinstance(text, bool):
        raise BadInput(f"{text!r} has no unit; write {text}ms or {text}s")
    match = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", text) if isinstance(text, str) else None
    if match is None:
        raise BadInput(f"'{text}' is no duration; write a number with ms, s, m, h or d, such as 1s")
    return int(match[1]) * _SECONDS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""Seconds; written with its unit in a configuration, so that nobody takes 150 ms for 150 s."""

LabelName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class TargetConfig(HttpConfig):
    """One page to scrape. `kind` says which server wrote it; it is recognised from the names on the page when left out.

    Where it says how to ask, that counts instead of what its service says.
    """

    url: str
    kind: str | None = None

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return require_http(url)

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in NORMALISERS:
            raise BadInput(f"'{kind}' is no kind of server; they are: {', '.join(NORMALISERS)}")
        return kind


def _selector(text: Any) -> Selector:
    if isinstance(text, Selector):
        return text
    if not isinstance(text, str):
        raise BadInput("a series selector is text in quotes; write one as Prometheus does, such as '{job=\"ranker\"}'")
    return Selector.parse(text)


class TargetGroup(BaseModel):
    """Targets as `host:port`, and the labels that all series of theirs carry.

    `__scheme__`, `__metrics_path__` and `__param_…` say where their pages are; other labels with `__` before are dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    targets: tuple[str, ...]
    labels: Mapping[LabelName, str] = Field(default_factory=dict)


class FileSdConfig(BaseModel):
    """Files, or patterns of them, that hold target groups as YAML or JSON; they are read again when they change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: tuple[Annotated[ConfiguredPattern, Field(pattern=r"\.(json|yml|yaml)$")], ...] = Field(min_length=1)


class HttpSdConfig(HttpConfig):
    """An address that answers target groups as JSON."""

    url: str
    refresh_interval: Duration = 60.0

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return require_http(url)


class ServiceConfig(HttpConfig):
    """A named group of targets. `host` and `nvml` measure the machine that recwatch itself runs on, and its GPUs.

    Its targets are scraped here, or else a Prometheus scrapes them and sends what it reads: then `receive` selects, of all
    that is sent, the series of this service, and `scrape_interval` is that Prometheus's.

    A scrape that takes longer than `scrape_timeout` in all, or whose page is larger than `body_size_limit`, has more than
    `sample_limit` samples, or labels beyond their limits, fails. The timeout is four fifths of the interval when left out.
    """

    name: str = Field(min_length=1)
    targets: tuple[TargetConfig, ...] = ()
    static_configs: tuple[TargetGroup, ...] = ()
    file_sd_configs: tuple[FileSdConfig, ...] = ()
    http_sd_configs: tuple[HttpSdConfig, ...] = ()
    receive: tuple[Annotated[Selector, BeforeValidator(_selector)], ...] = ()
    host: bool = False
    nvml: bool = False
    scheme: Literal["http", "https"] = "http"
    metrics_path: str = Field(default="/metrics", pattern="^/")
    params: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    honor_timestamps: bool = True
    scrape_interval: Duration = 1.0
    scrape_timeout: Duration | None = None
    body_size_limit: ByteSize = Field(default=ByteSize(10_000_000), gt=0)
    sample_limit: int = Field(default=100_000, gt=0)
    label_limit: PositiveInt | None = None
    label_name_length_limit: PositiveInt | None = None
    label_value_length_limit: PositiveInt | None = None

    @field_validator("targets", mode="before")
    @classmethod
    def _urls(cls, targets: Any) -> Any:
        if not isinstance(targets, list | tuple):
            return targets
        return [{"url": target} if isinstance(target, str) else target for target in targets]

    @field_validator("scrape_interval")
    @classmethod
    def _is_short(cls, scrape_interval: float) -> float:
        if scrape_interval > LONGEST_INTERVAL_S:
            raise BadInput(
                f"{scrape_interval:g} s between scrapes is too long: quantiles, baselines and diagnosis look at the last "
                f"minute, which is to hold several; make it at most {LONGEST_INTERVAL_S:g}s"
            )
        return scrape_interval

    @model_validator(mode="after")
    def _comes_one_way(self) -> ServiceConfig:
        if not self.scraped and not self.receive:
            raise BadInput(
                f"{self.name} has no targets; give targets, static_configs, file_sd_configs or http_sd_configs, or select "
                "with 'receive' what a Prometheus sends of it"
            )
        if self.receive and (self.scraped or self.host or self.nvml):
            raise BadInput(f"{self.name} is scraped and received; have its Prometheus scrape all of it, or none")
        return self

    @model_validator(mode="after")
    def _fits(self) -> ServiceConfig:
        if self.timeout_s > self.scrape_interval:
            raise BadInput(
                f"{self.name}: scrape_timeout {self.timeout_s} s is longer than scrape_interval {self.scrape_interval} s; "
                "make it at most as long"
            )
        urls = [endpoint.url for endpoint in self.endpoints()]
        twice = sorted({url for url in urls if urls.count(url) > 1})
        if twice:
            raise BadInput(f"{self.name}: {twice} listed twice among the targets; list each once")
        return self

    @property
    def scraped(self) -> bool:
        """Whether recwatch scrapes it itself."""
        return bool(self.targets or self.static_configs or self.file_sd_configs or self.http_sd_configs)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The pages that the configuration itself lists."""
        listed = [
            Endpoint.of(self.name, target.url, {}, target.kind, self.http if target.http == HttpConfig() else target.http)
            for target in self.targets
        ]
        return (*listed, *(endpoint for group in self.static_configs for endpoint in self.endpoints_of(group)))

    def endpoints_of(self, group: TargetGroup) -> list[Endpoint]:
        """The pages of a group. Raises BadInput where it holds something that is no address."""
        labels = {name: value for name, value in group.labels.items() if not name.startswith("__")}
        urls = [url_of(one, group.labels, self.scheme, self.metrics_path, self.params) for one in group.targets]
        return [Endpoint.of(self.name, url, labels, http=self.http) for url in urls]

    @property
    def timeout_s(self) -> float:
        """How long a scrape may take in all, in seconds."""
        return 0.8 * self.scrape_interval if self.scrape_timeout is None else self.scrape_timeout
