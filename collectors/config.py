"""What to measure, and how often; the words are Prometheus's own."""

from __future__ import annotations

import re
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, field_validator, model_validator

from collectors.normalise import NORMALISERS
from collectors.selector import Selector
from recwatch.core.errors import BadInput

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


LONGEST_INTERVAL_S = 15.0


def seconds(text: Any) -> float | None:
    """A duration in Prometheus's spelling, such as `1s`, `500ms` or `1m`, as seconds; None stays None.

    >>> seconds("500ms")
    0.5
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadInput(f"{text!r} has no unit; write {text}ms or {text}s")
    match = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    if match is None:
        raise BadInput(f"'{text}' is no duration; write a number with ms, s, m or h, such as 1s")
    return int(match[1]) * _SECONDS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""Seconds; written with its unit in a configuration, so that nobody takes 150 ms for 150 s."""


class TargetConfig(BaseModel):
    """One page to scrape. `kind` says which server wrote it; it is recognised from the names on the page when left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    kind: str | None = None

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise BadInput(f"'{url}' is no URL: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise BadInput(f"'{url}' is no HTTP address; write it out, such as http://127.0.0.1:8000/metrics")
        if parsed.userinfo:
            raise BadInput(f"the address of {parsed.host} holds a user or password, which labels would show; leave it out")
        return url

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in NORMALISERS:
            raise BadInput(f"'{kind}' is no kind of server; they are: {', '.join(NORMALISERS)}")
        return kind


def _selector(text: Any) -> Any:
    return Selector.parse(text) if isinstance(text, str) else text


class ServiceConfig(BaseModel):
    """A named group of targets. `host` and `nvml` measure the machine that recwatch itself runs on, and its GPUs.

    Its targets are scraped here, or else a Prometheus scrapes them and sends what it reads: then `receive` selects, of all
    that is sent, the series of this service, and `scrape_interval` is that Prometheus's.

    A scrape that takes longer than `scrape_timeout` in all, or whose page is larger than `body_size_limit` or has more than
    `sample_limit` samples, fails. The timeout is four fifths of the interval when left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    targets: tuple[TargetConfig, ...] = ()
    receive: tuple[Annotated[Selector, BeforeValidator(_selector)], ...] = ()
    host: bool = False
    nvml: bool = False
    scrape_interval: Duration = 1.0
    scrape_timeout: Duration | None = None
    body_size_limit: ByteSize = Field(default=ByteSize(10_000_000), gt=0)
    sample_limit: int = Field(default=100_000, gt=0)

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
        if not self.targets and not self.receive:
            raise BadInput(f"{self.name} has no targets; name some, or select with 'receive' what a Prometheus sends of it")
        if self.receive and (self.targets or self.host or self.nvml):
            raise BadInput(f"{self.name} is scraped and received; have its Prometheus scrape all of it, or none")
        return self

    @model_validator(mode="after")
    def _fits(self) -> ServiceConfig:
        if self.timeout_s > self.scrape_interval:
            raise BadInput(
                f"{self.name}: scrape_timeout {self.timeout_s} s is longer than scrape_interval {self.scrape_interval} s; "
                "make it at most as long"
            )
        urls = [target.url for target in self.targets]
        twice = sorted({url for url in urls if urls.count(url) > 1})
        if twice:
            raise BadInput(f"{self.name}: {twice} listed twice among the targets; list each once")
        return self

    @property
    def timeout_s(self) -> float:
        """How long a scrape may take in all, in seconds."""
        return 0.8 * self.scrape_interval if self.scrape_timeout is None else self.scrape_timeout
