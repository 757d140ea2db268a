"""How a service stands, told when it changes: which of its targets fail, and whether what it promises is measured."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.target import NOT_YET, TargetStatus
from recwatch.app.config import WatchedService
from recwatch.app.measured import unmeasured
from recwatch.app.threads import Trouble
from recwatch.core.recent import Recent
from recwatch.core.targets import TargetSet, TargetState


class Standing:
    """Logs what is wrong with a service, once; `recent` holds what is known of it."""

    def __init__(self, service: WatchedService, recent: Recent) -> None:
        self._service = service
        self._recent = recent
        self._objective = service.objective.objective() if service.objective else None
        self._troubles: dict[str, Trouble] = {}
        self._promise = Trouble(service.name, "what its objective promises is measured.")
        self._told = TargetSet(service.name, ())

    def now(self, targets: Sequence[TargetStatus]) -> TargetSet | None:
        """Take note of how the targets are; returns them if that is news."""
        name = self._service.name
        known = [target for target in targets if target.last_error != NOT_YET]
        # A target that is listed no more is forgotten: should it come back, it is news again.
        self._troubles = {t.url: self._troubles.get(t.url) or Trouble(name, f"{t.url} answers.") for t in known}
        for target in known:
            self._troubles[target.url].now(target.last_error)
        self._promise.now("; ".join(unmeasured(self._recent, name, self._objective).values()))
        now = TargetSet(name, tuple(TargetState(t.url, t.up, t.last_error) for t in known))
        before, self._told = self._told, now
        return None if now == before else now
