"""An endpoint → its page, read within its limits, or why there is none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from collectors.config import ServiceConfig
from collectors.endpoint import Endpoint
from collectors.exposition import Line, Page, PageParser
from collectors.fetch import Connections, Fetched, Fetcher, FetchFailed
from recwatch.core.clock import Clock
from recwatch.core.errors import BadInput

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
# The loop may be held up for this long by the reading of one page; what takes longer is read in a thread.
_QUICK_S = 0.005
_QUICK_GROWTH = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Scrape:
    """One scrape: of whom, when it started (unix time), how long it took with the reading, and what it brought."""

    endpoint: Endpoint
    started_ms: int
    duration_s: float
    outcome: Page | FetchFailed


class Scraper:
    """Scrapes one endpoint; `scrape` is for one caller at a time."""

    def __init__(
        self, endpoint: Endpoint, config: ServiceConfig, connections: Connections, readers: Executor, clock: Clock
    ) -> None:
        self.endpoint = endpoint
        self._config = config
        self._clock = clock
        self._readers = readers
        self._fetcher = Fetcher(connections, endpoint.url, endpoint.http, int(config.body_size_limit))
        self._headers = {"Accept": ACCEPT, "X-Prometheus-Scrape-Timeout-Seconds": f"{config.timeout_s:g}"}
        self._parser = PageParser()
        self._quick_size = 0
        self._within_limits: tuple[Line, ...] = ()

    async def scrape(self) -> Scrape:
        """The page; a failure of the target or its page is an outcome, too."""
        started_ms, began_s = self._clock.now_ms(), self._clock.monotonic_s()
        outcome: Page | FetchFailed
        try:
            outcome = await self._read(await self._fetcher.fetch(self._headers, self._config.timeout_s))
        except FetchFailed as failure:
            outcome = failure
        return Scrape(self.endpoint, started_ms, self._clock.monotonic_s() - began_s, outcome)

    async def _read(self, fetched: Fetched) -> Page:
        """Read the page at once if that is sure to be quick, else in a thread, so that no other target waits for it."""
        size = len(fetched.body)
        if size > _QUICK_GROWTH * self._quick_size:
            page, took_s = await asyncio.get_running_loop().run_in_executor(self._readers, self._timed, fetched)
        else:
            page, took_s = self._timed(fetched)
        self._quick_size = size if took_s < _QUICK_S else 0
        return page

    def _timed(self, fetched: Fetched) -> tuple[Page, float]:
        began_s = self._clock.monotonic_s()
        return self._page(fetched), self._clock.monotonic_s() - began_s

    def _page(self, fetched: Fetched) -> Page:
        url, config = self.endpoint.url, self._config
        require_whole(url, fetched)
        if fetched.body.count(b"\n") > config.sample_limit < _samples(fetched.body):
            raise FetchFailed("too_many_samples", f"{url} has a page of more than {config.sample_limit} samples")
        try:
            page = self._parser.parse(fetched.body, fetched.content_type or None)
        except BadInput as error:
            raise FetchFailed("malformed", f"{url}: {error}") from error
        if page.lines is not self._within_limits:
            if excess := beyond_limits(page.lines, config):
                raise FetchFailed("label_limit", f"{url} {excess}")
            self._within_limits = page.lines
        return page


def require_whole(url: str, fetched: Fetched) -> None:
    """Raise FetchFailed where the body is HTML, or may be cut off: of `12` there may be a digit missing.

    Some servers end their last line with the end of the page alone, which counts where that end was announced.
    """
    if "html" in fetched.content_type or fetched.body[:1000].lstrip()[:1] == b"<":
        raise FetchFailed("html", f"{url} is HTML, not metrics; check the path, which is often /metrics")
    if fetched.body and not fetched.whole and not fetched.body.endswith((b"\n", b"# EOF")):
        raise FetchFailed("cut_off", f"{url} has a page that ends in the middle of a line")


def _samples(body: bytes) -> int:
    return sum(row[:1] not in (b"", b"#") for row in body.split(b"\n"))


def beyond_limits(lines: Sequence[Line], config: ServiceConfig) -> str:
    """What about the labels of a page is beyond the limits; empty where nothing is.

    As in Prometheus, the name counts as a label, and so do `job` and `instance`, which every series gets.
    """
    limit, name_limit, value_limit = (
        config.label_limit or sys.maxsize,
        config.label_name_length_limit or sys.maxsize,
        config.label_value_length_limit or sys.maxsize,
    )
    for line in lines:
        if len(line.labels) + 3 > limit:
            return f"has a series {line.name} of {len(line.labels) + 3} labels; label_limit is {limit}"
        for name, value in (("__name__", line.name), *line.labels.items()):
            if len(name.encode()) > name_limit:
                return f"has a label {name[:50]}… longer than label_name_length_limit, {name_limit} bytes"
            if len(value.encode()) > value_limit:
                return f"has a value of {name} longer than label_value_length_limit, {value_limit} bytes"
    return ""
