"""How a service stands, told when it changes: which of its targets fail, and whether what it promises is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from collectors.target import NOT_YET, TargetStatus
from recwatch.app.config import WatchedService
from recwatch.app.measured import SCRAPES, unmeasured
from recwatch.app.threads import Trouble
from recwatch.core.recent import Recent, absorb
from recwatch.core.targets import TargetSet, TargetState

TOLD_EVERY_MS = 10_000


class Standing:
    """Logs what is wrong with a service, once, by what is published of it. `by` is who scrapes it, from `now_ms` on."""

    def __init__(self, service: WatchedService, now_ms: int, by: str = "") -> None:
        self._service = service
        self._objective = service.objective.objective() if service.objective else None
        self._recent = Recent(span_s=(SCRAPES + 5) * service.scrape_interval)
        self._troubles: dict[str, Trouble] = {}
        self._promise = Trouble(service.name, "what its objective promises is measured.")
        self._by, self._since_ms = by, now_ms
        self._told = TargetSet(service.name, (), now_ms)

    def take(self, message: object) -> None:
        """Take note of what is published of the service."""
        absorb(self._recent, (message,))

    def now(self, targets: Sequence[TargetStatus], now_ms: int) -> TargetSet | None:
        """Take note of how the targets are; returns them if that is news, or was last told a while ago."""
        name = self._service.name
        known = [target for target in targets if target.last_error != NOT_YET]
        # A target that is listed no more is forgotten: should it come back, it is news again.
        self._troubles = {t.url: self._troubles.get(t.url) or Trouble(name, f"{t.url} answers.") for t in known}
        for target in known:
            self._troubles[target.url].now(target.last_error)
        self._promise.now("; ".join(unmeasured(self._recent, name, self._objective).values()))
        states = tuple(TargetState(t.url, t.up, t.last_error, t.kind or "", t.last_scrape_ms) for t in known)
        news = _but_for_times(states) != _but_for_times(self._told.targets)
        if not news and now_ms - self._told.time_ms < TOLD_EVERY_MS:
            return None
        self._told = TargetSet(name, states, now_ms, self._by, self._since_ms)
        return self._told


def _but_for_times(targets: Sequence[TargetState]) -> list[TargetState]:
    return [replace(target, last_scrape_ms=None) for target in targets]
