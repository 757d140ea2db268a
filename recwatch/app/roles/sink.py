"""The role that stores what is on the bus and is history."""

from __future__ import annotations

from recwatch.app.handled import Handled
from recwatch.app.roles.role import Shared, StagedRole, Totals
from recwatch.app.runner import StageCounts, StageRunner
from recwatch.core.store import Store
from recwatch.core.store.sink import Sink


class SinkRole(StagedRole):
    """What it has handled is what is stored."""

    def __init__(self, shared: Shared, store: Store) -> None:
        counts = StageCounts(Handled(shared.clock))
        self.sink = Sink(store, told=counts.handled.take)
        super().__init__(shared, [StageRunner(self.sink, shared.bus, shared.clock, counts=counts)])

    def totals(self) -> Totals:
        return {
            **super().totals(),
            "recwatch_samples_stored": self.sink.samples_stored,
            "recwatch_samples_repeated": self.sink.samples_repeated,
            "recwatch_ranges_replayed": {self.sink.name: self.sink.ranges_replayed},
            "recwatch_records_repeated": {self.sink.name: self.sink.records_repeated},
        }
