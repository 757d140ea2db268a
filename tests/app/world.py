"""A whole API for tests: a real live view, a real bus and a real server, over a history that is a list."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread
from types import TracebackType
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from recwatch.app.api import create_api
from recwatch.app.health import Health
from recwatch.app.live import LiveView
from recwatch.app.remote_write import Receiving
from recwatch.app.server import Server
from recwatch.app.telemetry import ObjectiveCollector, SignalCollector
from recwatch.app.view import ApiView, Rows
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.clock import Clock, FakeClock
from recwatch.core.errors import Unavailable
from recwatch.core.event_json import E, Event, goes_on
from recwatch.core.objective import Objective
from recwatch.core.proposals import Hold
from recwatch.core.signals import Series
from recwatch.core.targets import TargetSet, TargetState
from tests.dashboards.story import SERVICE, Story, anomaly, deploy_mark, proposal, surge_incident

TOKEN = "a-token"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
NOW_MS = FakeClock().now_ms()


class Shelf:
    """A history in memory: what a store would answer from."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.known: list[Series] = []
        self.rows: dict[int, Rows] = {}
        self.reads = 0
        self.away = ""

    def read(self, series_ids: Sequence[int], start_ms: int, end_ms: int, step_s: float | None = None) -> dict[int, Rows]:
        self.check()
        self.reads += 1
        found = {i: self.rows[i] for i in series_ids if i in self.rows}
        return {i: (t[(t >= start_ms) & (t <= end_ms)], v[(t >= start_ms) & (t <= end_ms)]) for i, (t, v) in found.items()}

    def series(self, service: str | None = None) -> list[Series]:
        return [s for s in self.known if service in (None, s.service)]

    def one_series(self, series_id: int) -> Series | None:
        return next((s for s in self.known if s.id == series_id), None)

    def events(
        self,
        kind: type[E],
        service: str | None = None,
        since_ms: int | None = None,
        limit: int = 1000,
        *,
        open_only: bool = False,
    ) -> list[E]:
        self.check()
        found: list[E] = [e for e in self.kept if isinstance(e, kind) and (goes_on(e) or not open_only)]
        return [e for e in found if service in (None, e.service)][:limit]

    def event(self, kind: type[E], event_id: str) -> E | None:
        return next((e for e in self.kept if isinstance(e, kind) and e.id == event_id), None)

    def check(self) -> None:
        if self.away:
            raise Unavailable(self.away)


class World:
    """An API, not yet started, with a minute of the story behind it."""

    def __init__(self, clock: Clock, receiving: Receiving | None = None) -> None:
        now_ms = clock.now_ms()
        self.live = LiveView()
        self.bus = MemoryBus()
        self.shelf = Shelf()
        registry = CollectorRegistry()
        self.lacks: list[str] = []
        self.health = Health(registry, lambda: "", lambda: self.lacks)
        self.watched = [SERVICE]
        self.view = ApiView(self.bus, self.shelf, self.live, clock, self.watched, {SERVICE: Objective(0.1)})
        registry.register(SignalCollector(self.view))
        registry.register(ObjectiveCollector(self.view.services))
        down = TargetState("http://127.0.0.1:9/metrics", False, "refused", "recommender", now_ms)
        self.live.take(TargetSet(SERVICE, (down,), now_ms))
        self.live.take(Hold(SERVICE, "no incident is open", now_ms))
        Story(self.live, surge_ms=now_ms - 20_000).run(now_ms - 60_000, now_ms)
        for event in (surge_incident(now_ms - 15_000), proposal(now_ms - 10_000), deploy_mark(now_ms - 50_000)):
            self.live.take(event)
        self.live.take(anomaly("queue_depth", now_ms - 18_000))
        self.server = Server("127.0.0.1", 0)
        self.url = self.server.url
        self.http = httpx.Client(base_url=self.url, trust_env=False)
        self._thread = Thread(target=self.server.serve, args=(create_api(self.view, self.health, TOKEN, receiving),))

    def __enter__(self) -> World:
        self._thread.start()
        self.http.get("/healthz")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()
        self.server.stop()
        self._thread.join()

    def ask(self, path: str, **query: Any) -> Any:
        """What it answers to a question that it must answer."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def service(self, name: str) -> Any:
        (found,) = (service for service in self.ask("/api/services") if service["name"] == name)
        return found
