"""The role that judges signals."""

from __future__ import annotations

from functools import partial

from detectors.stage import DetectorStage
from recwatch.app.roles.role import Shared, StagedRole
from recwatch.app.runner import StageRunner
from recwatch.core.store import Store


class DetectorsRole(StagedRole):
    """`stage` is the one there is where the bus ends with this process; else there is one for each partition."""

    def __init__(self, shared: Shared, store: Store) -> None:
        make = partial(DetectorStage, shared.objectives(), shared.config.detection)
        self.stage = make()
        super().__init__(shared, [StageRunner(self.stage, shared.bus, shared.clock, store, again=make)])
