"""The role that works out, applies and verifies changes of knobs."""

from __future__ import annotations

from functools import partial

from recwatch.app.duty import Duty
from recwatch.app.roles.role import Shared, StagedRole
from recwatch.core.store import Store
from tuning.stage import TuningStage


class TuningRole(StagedRole):
    """Tunes every service that the configuration says may be tuned."""

    def __init__(self, shared: Shared, store: Store) -> None:
        tuned = {s.name: s.tuning for s in shared.config.services if s.tuning}
        make = partial(TuningStage, tuned, shared.objectives())
        make().close()  # raises where one cannot be tuned
        duty = Duty(TuningStage.name, TuningStage.topics, make, shared.bus, shared.clock, store)
        super().__init__(shared, [duty])
