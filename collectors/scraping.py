"""When which endpoint is scraped: all targets of all services on one event loop, each at its own moment of the interval."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock, Thread
from typing import Any, TypeVar

import xxhash

from collectors.config import ServiceConfig
from collectors.discovery import FileDiscovery, HttpDiscovery, Listed
from collectors.endpoint import Endpoint
from collectors.fetch import Connections
from collectors.scrape import Scrape, Scraper
from recwatch.core.clock import Clock

T = TypeVar("T")

# Reading pages in more threads would be no faster, and each would keep memory of its own.
_READERS = 4
# A name server may let many wait.
_RESOLVERS = 32
_WATCH_FILES_S = 1.0
_END_S = 1.0
# A page for each of the intervals after which a reading is stale, and one more.
_UNTAKEN = 4
# Most targets have answered, and been read, within this.
_ANSWERED_S = 0.25


def offset_s(url: str, interval_s: float) -> float:
    """The moment of the interval at which a target is scraped: its own, the same after a restart, spread over all.

    >>> [round(offset_s(f"http://10.0.0.{host}:8000/metrics", 1.0), 2) for host in (1, 2)]
    [0.27, 0.71]
    """
    return interval_s * xxhash.xxh3_64_intdigest(url.encode()) / 2**64


def quiet_offset_s(offsets: Sequence[float], interval_s: float) -> float:
    """A moment of the interval for looking at what was scraped: in its longest pause, soon after the scrapes before it.

    >>> quiet_offset_s([0.25], 1.0), quiet_offset_s([0.1, 0.2, 0.9], 1.0), quiet_offset_s([], 1.0)
    (0.5, 0.45, 0.0)
    """
    if not offsets:
        return 0.0
    ordered = sorted(offsets)
    pauses = [(after - before, before) for before, after in pairwise([*ordered, ordered[0] + interval_s])]
    longest, begins = max(pauses)
    return (begins + min(longest / 2, _ANSWERED_S)) % interval_s


def next_due(due_s: float, interval_s: float, now_s: float) -> tuple[float, int]:
    """When the scrape after that of `due_s` is due, and how many were missed because that one took too long.

    One that is late by less than an interval starts at once, as in Prometheus; what was due before it is missed.

    >>> next_due(10.0, 1.0, 10.3), next_due(10.0, 1.0, 11.2), next_due(10.0, 1.0, 13.5)
    ((11.0, 0), (11.0, 0), (13.0, 2))
    """
    intervals = max(1, math.floor((now_s - due_s) / interval_s))
    return due_s + intervals * interval_s, intervals - 1


class ScrapeLoop:
    """The event loop, in a thread of its own, and the connections of everything that runs on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self.readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        self._others = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="scrape")
        self._loop.set_default_executor(self._others)
        self._thread = Thread(target=self._loop.run_forever, name="scrape", daemon=True)
        self._thread.start()
        self.connections = self.run(_connections())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work on the loop, and wait for it; not to be called from the loop itself."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End whatever runs on the loop, and the loop."""
        if self._loop.is_closed():
            return
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_S)
        for threads in (self.readers, self._others):
            threads.shutdown(wait=False, cancel_futures=True)
        self._loop.close()

    async def _end(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.connections.close()


async def _connections() -> Connections:
    return Connections()


class Scrapes:
    """The scrapes of one service: of the endpoints that its configuration lists, and of those that its sources list.

    `start` scrapes each at its moment of every interval; `once` scrapes all at once, for whoever drives time by himself.
    `take` hands over what has ended. While nobody takes, a few pages of each endpoint are kept, and the oldest let go of as
    `missed`. The work is done on the loop; its public methods are for one other thread.
    """

    def __init__(self, config: ServiceConfig, clock: Clock, loop: ScrapeLoop) -> None:
        self._config = config
        self._clock = clock
        self._loop = loop
        self._files = [FileDiscovery(source, config) for source in config.file_sd_configs]
        self._addresses = [HttpDiscovery(source, config, loop.connections) for source in config.http_sd_configs]
        self._listed: dict[FileDiscovery | HttpDiscovery, Listed] = {}
        self._scrapers: dict[Endpoint, Scraper] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._ended: deque[Scrape] = deque()
        self._taking = Lock()
        self._died_of: BaseException | None = None
        self._scheduled = False
        self.endpoints: tuple[Endpoint, ...] = ()
        self.troubles: tuple[str, ...] = ()
        self.missed = 0

    def start(self) -> None:
        """Scrape every endpoint at its moment of each interval, from now on."""
        self._loop.run(self._start())

    def once(self) -> None:
        """Look at every source and scrape every endpoint once, all at the same time; returns when all have ended."""
        self._loop.run(self._once())

    def take(self) -> list[Scrape]:
        """The scrapes that have ended since the last call. Raises what the work on the loop died of, if it did."""
        if self._died_of is not None:
            raise self._died_of
        with self._taking:
            taken = list(self._ended)
            self._ended.clear()
        return taken

    def close(self) -> None:
        """Break off what is under way."""
        self._loop.run(self._stop())

    async def _start(self) -> None:
        self._scheduled = True
        self._follow()
        if self._files:
            self._spawn("files", self._watch_files())
        for address in self._addresses:
            self._spawn(address, self._ask(address))

    async def _once(self) -> None:
        await self._look_at_files()
        for address in self._addresses:
            self._listed[address] = await address.look()
        self._follow()
        self._keep(await asyncio.gather(*(scraper.scrape() for scraper in self._scrapers.values())))

    async def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _watch_files(self) -> None:
        while True:
            await self._look_at_files()
            self._follow()
            await asyncio.sleep(_WATCH_FILES_S)

    async def _look_at_files(self) -> None:
        for source in self._files:
            self._listed[source] = await asyncio.to_thread(source.look)

    async def _ask(self, address: HttpDiscovery) -> None:
        while True:
            self._listed[address] = await address.look()
            self._follow()
            await asyncio.sleep(address.refresh_interval_s)

    def _follow(self) -> None:
        """Scrape what is listed now and nothing else; of two with one address, the one listed first."""
        listed = [*self._config.endpoints(), *(one for source in self._listed.values() for one in source.endpoints)]
        wanted: dict[str, Endpoint] = {}
        for endpoint in listed:
            wanted.setdefault(endpoint.url, endpoint)
        self.troubles = tuple(source.trouble for source in self._listed.values() if source.trouble)
        for gone in self._scrapers.keys() - wanted.values():
            del self._scrapers[gone]
            if gone in self._tasks:
                self._tasks.pop(gone).cancel()
        for endpoint in wanted.values():
            if endpoint not in self._scrapers:
                self._scrapers[endpoint] = Scraper(
                    endpoint, self._config, self._loop.connections, self._loop.readers, self._clock
                )
                if self._scheduled:
                    self._spawn(endpoint, self._repeat(self._scrapers[endpoint]))
        self.endpoints = tuple(self._scrapers)

    async def _repeat(self, scraper: Scraper) -> None:
        now_s, interval_s = asyncio.get_running_loop().time, self._config.scrape_interval
        offset = offset_s(scraper.endpoint.url, interval_s)
        due_s = now_s() + (offset - self._clock.now_ms() / 1000) % interval_s
        while True:
            await asyncio.sleep(due_s - now_s())
            self._keep([await scraper.scrape()])
            due_s, missed = next_due(due_s, interval_s, now_s())
            self.missed += missed

    def _keep(self, ended: Sequence[Scrape]) -> None:
        with self._taking:
            self._ended.extend(ended)
            while len(self._ended) > _UNTAKEN * len(self._scrapers):
                self._ended.popleft()
                self.missed += 1

    def _spawn(self, key: object, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._remember_death)
        self._tasks[key] = task

    def _remember_death(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._died_of = task.exception()
