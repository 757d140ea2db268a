"""The role that turns anomalies into incidents, and incidents into messages; recwatch's own lag is one of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from alerting.notifiers import Notifier, notifier_of
from alerting.outbox import Outbox, OutboxConfig
from alerting.own_lag import OwnLag
from alerting.stage import AlertingStage
from recwatch.app.duty import Duty
from recwatch.app.roles.role import Shared, StagedRole, Totals
from recwatch.app.runner import StageRunner
from recwatch.app.shifts import shifts
from recwatch.core.store import Store


class AlertingRole(StagedRole):
    """`notifiers` are told of incidents beside those that the configuration names.

    `stage` is the one there is where the bus ends with this process; else there is one for each partition.
    """

    def __init__(self, shared: Shared, store: Store, notifiers: Mapping[str, Notifier] | None = None) -> None:
        self._config = shared.config
        self._notifiers = dict(notifiers or {})
        self._outbox: Outbox | None = None
        for notifier in shared.config.notify:
            notifier_of(notifier).close()  # raises where one cannot be used
        make = partial(AlertingStage, shared.objectives(), shifts=shifts)
        self.stage = make()
        place = (shared.bus, shared.clock, store)
        stages = (
            StageRunner(self.stage, *place, again=make),
            Duty(OwnLag.name, OwnLag.topics, self._own_lag, *place),
            Duty(Outbox.name, Outbox.topics, self._new_outbox, *place),
        )
        super().__init__(shared, stages)

    def totals(self) -> Totals:
        outbox = self._outbox
        sent = {"recwatch_alerts_sent": outbox.alerts_sent, "recwatch_alerts_failed": outbox.alerts_failed} if outbox else {}
        return {**super().totals(), **sent}

    def _new_outbox(self) -> Outbox:
        configured = {f"{n.type}-{i}": notifier_of(n) for i, n in enumerate(self._config.notify)}
        self._outbox = Outbox(configured | self._notifiers, OutboxConfig(console_url=self._config.console_url))
        return self._outbox

    def _own_lag(self) -> OwnLag:
        services = self._config.services
        return OwnLag({s.name: s.scrape_interval for s in services}, [s.name for s in services if s.scraped])
