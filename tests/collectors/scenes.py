"""Pages of the reference recommender, and ways to look at what a collector makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from collectors.collector import Collector, Tick
from collectors.config import ServiceConfig
from collectors.nvml import GpuDriver
from collectors.scraping import ScrapeLoop
from recwatch.core.clock import FakeClock
from recwatch.core.events import Mark
from recwatch.core.signals import Samples, Series
from tests.collectors.server import PageServer, page

START_MS = 1_700_000_000_000
Reading = dict[str, float]


@dataclass(frozen=True)
class Recommender:
    """Everything that the recommender has counted since its start. Latencies fall into buckets up to 0.1, 0.2 and +Inf s."""

    ok: float = 0
    shed: float = 0
    error: float = 0
    buckets: tuple[float, float, float] = (0, 0, 0)  # cumulative, as Prometheus's
    seconds: float = 0.0
    hits: float = 0
    misses: float = 0
    busy: tuple[float, ...] = (0.0, 0.0)
    batches: float = 0
    batched: float = 0
    batch_seconds: float = 0.0
    queue_seconds: float = 0.0
    queue_depth: float = 0
    quality: float = 0.9
    version: str = "v1"
    variant: str = "full"
    started: float | None = None
    more: str = ""

    def after(self, **grown: float) -> Recommender:
        """The same process later: the named counters grew by that much."""
        return replace(self, **{name: getattr(self, name) + by for name, by in grown.items()})

    def text(self) -> str:
        le = ("0.1", "0.2", "+Inf")
        rows = [
            "# TYPE recommender_requests_total counter",
            *(f'recommender_requests_total{{outcome="{o}"}} {getattr(self, o)}' for o in ("ok", "shed", "error")),
            "# TYPE recommender_request_seconds histogram",
            *(f'recommender_request_seconds_bucket{{le="{b}"}} {n}' for b, n in zip(le, self.buckets, strict=True)),
            f"recommender_request_seconds_sum {self.seconds}",
            f"recommender_request_seconds_count {self.buckets[-1]}",
            "# TYPE recommender_queue_seconds histogram",
            f"recommender_queue_seconds_sum {self.queue_seconds}",
            f"recommender_queue_seconds_count {self.ok}",
            "# TYPE recommender_batch_seconds histogram",
            f"recommender_batch_seconds_sum {self.batch_seconds}",
            f"recommender_batch_seconds_count {self.batches}",
            "# TYPE recommender_batch_size histogram",
            f"recommender_batch_size_sum {self.batched}",
            f"recommender_batch_size_count {self.batches}",
            "# TYPE recommender_cache_lookups_total counter",
            f'recommender_cache_lookups_total{{result="hit"}} {self.hits}',
            f'recommender_cache_lookups_total{{result="miss"}} {self.misses}',
            "# TYPE recommender_replica_busy_seconds_total counter",
            *(f'recommender_replica_busy_seconds_total{{replica="{i}"}} {s}' for i, s in enumerate(self.busy)),
            "# TYPE recommender_queue_depth gauge",
            f"recommender_queue_depth {self.queue_depth}",
            f"recommender_replicas {len(self.busy)}",
            f"recommender_shadow_quality_ratio {self.quality}",
            f'recommender_model_info{{version="{self.version}",variant="{self.variant}"}} 1',
        ]
        if self.started is not None:
            rows.append(f"process_start_time_seconds {self.started}")
        return "\n".join(rows) + "\n" + self.more


FIRST = Recommender(
    ok=1000, shed=50, error=7, buckets=(600, 900, 1000), seconds=90.0, hits=300, misses=700, busy=(40.0, 30.0), batches=100,
    batched=700, batch_seconds=30.0, queue_seconds=12.0, queue_depth=3,
)  # fmt: skip
LATER = replace(
    FIRST, ok=1090, shed=58, error=9, buckets=(650, 980, 1090), seconds=108.0, hits=330, misses=760, busy=(41.0, 30.5),
    batches=110, batched=790, batch_seconds=32.0, queue_seconds=16.5, queue_depth=5, quality=0.8,
)  # fmt: skip


@dataclass
class Watch:
    """Drives a collector through time and remembers every series that it announced."""

    collector: Collector
    clock: FakeClock
    loop: ScrapeLoop
    known: dict[int, Series] = field(default_factory=dict)

    @classmethod
    def of(cls, *urls: str, gpus: GpuDriver | None = None, **settings: object) -> Watch:
        targets = {"targets": urls} if urls else {}
        config = ServiceConfig.model_validate({"name": "shop", **targets, **settings})
        clock, loop = FakeClock(START_MS), ScrapeLoop()
        return cls(Collector(config, clock, loop, gpus), clock, loop)

    @property
    def time_ms(self) -> int:
        return self.clock.now_ms()

    def tick(self, seconds: float = 1.0) -> Tick:
        """Scrape every target at once, so many seconds later, and take in what that brought."""
        self.clock.advance(seconds)
        self.collector.scrapes.once()
        tick = self.collector.tick(self.time_ms)
        if tick.series is not None:
            before, self.known = self.known, {series.id: series for series in tick.series.series}
            assert self.known.keys() - before.keys(), "nothing of it is new"
            lost = [before[one].target for one in before.keys() - self.known.keys()]
            assert all(lost), "a signal was forgotten"
            assert not lost or self.collector.scrapes._listed, "targets cannot have gone"
        return tick

    def close(self) -> None:
        self.collector.close()
        self.loop.close()

    def signals(self, tick: Tick) -> Reading:
        """The canonical signals of a tick, by name and labels but the service's."""
        return self.readings([s for s in tick.samples if not s.target])

    def raw(self, tick: Tick, url: str) -> Reading:
        """What a tick brought of one target."""
        return self.readings([s for s in tick.samples if s.target == url])

    def readings(self, batches: Iterable[Samples]) -> Reading:
        rows = [row for s in batches for row in zip(s.series_id.tolist(), s.value.tolist(), strict=True)]
        assert len({series_id for series_id, _ in rows}) == len(rows)
        return {short(self.known[series_id]): value for series_id, value in rows}

    def error(self, url: str) -> str:
        return next(status.last_error for status in self.collector.targets() if status.url == url)


class Shop:
    """A service of as many recommenders as are shown."""

    def __init__(self, server: PageServer, instances: int = 1, **settings: Any) -> None:
        self.server = server
        self.urls = [server.url(f"/{index}/metrics") for index in range(instances)]
        self.watch = Watch.of(*self.urls, **settings)

    def tick(self, *shown: Recommender, seconds: float = 1.0) -> Tick:
        for index, recommender in enumerate(shown):
            self.server.answers[f"/{index}/metrics"] = page(recommender.text())
        return self.watch.tick(seconds)

    def signals(self, *shown: Recommender, seconds: float = 1.0) -> Reading:
        return self.watch.signals(self.tick(*shown, seconds=seconds))


def short(series: Series) -> str:
    """A series without the labels that every series of the service carries."""
    labels = {name: value for name, value in series.labels.items() if name not in ("service", "job", "instance")}
    return series.name + (str(labels).replace("'", "") if labels else "")


def marks_of(ticks: Iterable[Tick]) -> list[Mark]:
    return [mark for tick in ticks for mark in tick.marks]


def only(signals: Mapping[str, float], *names: str) -> Reading:
    return {name: signals[name] for name in names if name in signals}


def gpu_page(throttled_ns: float) -> str:
    """The page of an exporter of one emulated GPU, which was throttled for so long since its start."""
    labels = 'gpu="0",UUID="GPU-x",emulated="true"'
    rows = {
        "DCGM_FI_DEV_GPU_UTIL": 99,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 0.5,
        "DCGM_FI_DEV_FB_USED": 2048,
        "DCGM_FI_DEV_SM_CLOCK": 1410,
        "DCGM_FI_DEV_POWER_USAGE": 200,
        "DCGM_FI_DEV_GPU_TEMP": 60,
        "DCGM_FI_DEV_THERMAL_VIOLATION": throttled_ns,
    }
    return "".join(f"{name}{{{labels}}} {value}\n" for name, value in rows.items())
