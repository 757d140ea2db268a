"""What only one process may do at a time: acting on the world for the whole fleet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from typing import Protocol

from recwatch.app.handled import Handled
from recwatch.app.runner import POLL_WAIT_S, Fence, StageCounts, StageRunner
from recwatch.app.shard import Snapshots
from recwatch.app.threads import Trouble
from recwatch.core.bus import DUTIES, Bus, Position
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Acts, Stage

logger = logging.getLogger(__name__)
OWNED = Position(DUTIES, 0)


class ActingStage(Stage, Acts, Protocol):
    """A stage that acts on the world, through connections of its own."""

    def close(self) -> None:
        """Let go of the connections."""
        ...


class Duty:
    """Has the stage that `make` makes run in one of the processes that have this duty, over all partitions of its topics.

    `name` and `topics` are those of the stage.

    The owner is whoever the group of the duty assigns the topic of duties. It confirms that it still is before every round,
    by a commit that the coordinator refuses anyone else, and its snapshots carry the group's generation. Whoever waits takes
    over, from the owner's last snapshot, when that one leaves or dies.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (what a stage of its own would be given, and how to make it)
        self,
        name: str,
        topics: Sequence[str],
        make: Callable[[], ActingStage],
        bus: Bus,
        clock: Clock,
        store: Snapshots,
    ) -> None:
        self.name = self.group = name
        self.counts = StageCounts(Handled(clock))
        self.stage: ActingStage | None = None
        self._make = make
        self._bus = bus
        self._clock = clock
        self._store = store
        self._generation: int | None = None
        self._runner: StageRunner | None = None
        self._trouble = Trouble(f"duty {name}")
        # Nothing that is published before there is an owner may be lost to it.
        bus.subscribe(name, topics).close()
        self._subscription = bus.subscribe(f"duty-{name}", [DUTIES], self._take_on, self._give_up)

    @property
    def trouble(self) -> str:
        """What the last step failed of, in a sentence; empty where it did not."""
        return self._trouble.sentence or (self._runner.trouble if self._runner else "")

    def step(self, max_wait_s: float = POLL_WAIT_S) -> float:
        """Do one round of work, or wait to become the owner. Returns the seconds to wait before the next."""
        try:
            self._subscription.attend()
            if self._generation is None:
                self._subscription.poll(max_wait_s)
            runner = self._runner or self._begun()
        except Unavailable as error:
            self._trouble.now(str(error))
            return error.retry_after_s
        self._trouble.now("")
        return runner.step(max_wait_s) if runner else 0.0

    def drain(self) -> None:
        """Handle what is still on the bus without waiting for more; for stopping."""
        if self._runner is not None:
            self._runner.drain()

    def close(self) -> None:
        """Keep the memory of the stage, if it runs here, and leave the duty to another."""
        self._end()
        self._subscription.close()

    def _begun(self) -> StageRunner | None:
        if self._generation is None:
            return None
        with ExitStack() as opened:
            stage = self._make()
            opened.enter_context(closing(stage))
            fence = Fence(self._generation, self._confirm)
            self._runner = StageRunner(stage, self._bus, self._clock, self._store, fence=fence, counts=self.counts)
            self.stage = stage
            opened.pop_all()
        return self._runner

    def _confirm(self) -> None:
        self._subscription.commit({OWNED: 0})

    def _take_on(self, positions: Sequence[Position]) -> None:
        del positions
        self._generation = self._subscription.generation

    def _give_up(self, positions: Sequence[Position]) -> None:
        del positions
        self._end()

    def _end(self) -> None:
        stage, runner = self.stage, self._runner
        self.stage = self._runner = self._generation = None
        if stage is None or runner is None:
            return
        try:
            with closing(stage):
                runner.close()
        except Unavailable as error:
            logger.warning("duty %s: its next owner repeats what was not kept: %s", self.name, error)
