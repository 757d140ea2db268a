"""The role that answers people and their tools: the newest of everything in memory, and the past from the store."""

from __future__ import annotations

import logging
from uuid import uuid4

from prometheus_client import CollectorRegistry

from collectors.intervals import BEHIND_MS
from recwatch.app.access import keep_token
from recwatch.app.live import LiveView
from recwatch.app.restart import prime
from recwatch.app.roles.role import Shared, StagedRole
from recwatch.app.runner import StageRunner
from recwatch.app.telemetry import ObjectiveCollector, SignalCollector
from recwatch.app.view import ApiView
from recwatch.core.errors import Unavailable
from recwatch.core.store import Store

logger = logging.getLogger(__name__)


class ApiRole(StagedRole):
    """`view` answers; what it knows is registered in `registry`. Any number of processes have one each."""

    def __init__(self, shared: Shared, store: Store, registry: CollectorRegistry) -> None:
        config = shared.config
        services = [service.name for service in config.services]
        self.live = LiveView()
        # Every process sees all records: each is a group of its own.
        self._group = f"{self.live.name}-{uuid4().hex}" if shared.bus.durable else self.live.name
        super().__init__(shared, [StageRunner(self.live, shared.bus, shared.clock, group=self._group)])
        prime(self.live, store, services, shared.clock.now_ms())
        self.token = keep_token(config.token_file)
        behind_ms = {service.name: BEHIND_MS for service in config.services if service.receive}
        self.view = ApiView(shared.bus, store, self.live, shared.clock, services, shared.objectives(), behind_ms)
        registry.register(SignalCollector(self.view))
        registry.register(ObjectiveCollector(self.view.services))

    def stop(self) -> None:
        """Leave no group behind that nobody will ever join again."""
        if self._stopped:
            return
        super().stop()
        try:
            self._shared.bus.forget(self._group)
        except Unavailable as error:
            logger.warning("the group %s stays until the brokers forget it by themselves: %s", self._group, error)
