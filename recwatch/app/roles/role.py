"""What a role is, and what all roles of a process share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import Event
from typing import Protocol

from recwatch.app.config import Config
from recwatch.app.handled import Handled
from recwatch.app.runner import StageCounts
from recwatch.app.threads import Worker, ended
from recwatch.core.bus import Bus
from recwatch.core.clock import Clock
from recwatch.core.errors import Unavailable
from recwatch.core.objective import Objective

FINISH_S, OTHERS_FINISH_S = 5.0, 1.0
Totals = Mapping[str, Mapping[str, int]]
"""Counts by metric (without `_total`), and by stage, reason and so on."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all roles of a process share.

    `stopping` is set when the process is to end, and `hanging` once what a role waited for to finish did not answer.
    """

    config: Config
    clock: Clock
    bus: Bus
    stopping: Event = field(default_factory=Event)
    hanging: Event = field(default_factory=Event)

    def objectives(self) -> dict[str, Objective]:
        """What is promised, by service."""
        return {s.name: s.objective.objective() for s in self.config.services if s.objective}


class Role(Protocol):
    """A part of recwatch in this process. `stop` may be called at any time, and twice; before it `stopping` is set."""

    @property
    def groups(self) -> Sequence[str]:
        """The groups in which it reads from the bus."""
        ...

    @property
    def handled(self) -> Mapping[str, Handled]:
        """How far it has come, by stage."""
        ...

    def start(self) -> None: ...

    def check(self) -> None:
        """Raise what a thread of it died of, if one did."""
        ...

    def lacks(self) -> str:
        """What it still needs to do its work, in a sentence; empty where nothing."""
        ...

    def stop(self) -> None:
        """Finish what is begun, keep what is remembered, and let go of everything."""
        ...

    def totals(self) -> Totals: ...


class Driven(Protocol):
    """A stage as a thread drives it: a `StageRunner`, or a `Duty`, which has it only where it is this process's."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def counts(self) -> StageCounts: ...

    @property
    def trouble(self) -> str: ...

    def step(self) -> float: ...

    def drain(self) -> None: ...

    def close(self) -> None: ...


class StagedRole:
    """A role that consists of stages, each driven by a thread of its own. It needs all of its stages."""

    def __init__(self, shared: Shared, stages: Sequence[Driven]) -> None:
        self._shared = shared
        self._stages = stages
        self._workers = [Worker(stage.name, partial(self._drive, stage)) for stage in stages]
        self._joined: set[str] = set()
        self._stopped = False

    @property
    def groups(self) -> Sequence[str]:
        return [stage.group for stage in self._stages]

    @property
    def handled(self) -> Mapping[str, Handled]:
        return {stage.name: stage.counts.handled for stage in self._stages}

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def check(self) -> None:
        for worker in self._workers:
            worker.check()

    def lacks(self) -> str:
        waiting = (f"{s.name} has not joined its group yet" for s in self._stages if s.name not in self._joined)
        return next(chain((s.trouble for s in self._stages if s.trouble), waiting), "")

    def stop(self) -> None:
        """A stage that died or is stuck is left as it is.

        Where records do not outlive this process, all that is on the bus is handled first. Raises Unavailable where the
        world refuses what is left; so it does there, too, after `FINISH_S` in which the world did not answer, or
        `OTHERS_FINISH_S` where it did not answer another role either.
        """
        if self._stopped:
            return
        self._stopped = True
        sound = [s for s, over in zip(self._stages, ended(self._workers, self._shared.clock), strict=True) if over]
        if self._shared.bus.durable:
            self._finish(sound)
            return
        finishing = Worker("finish", partial(self._finish, sound))
        finishing.start()
        patience_s = OTHERS_FINISH_S if self._shared.hanging.is_set() else FINISH_S
        finishing.join(patience_s)
        if finishing.is_alive():
            self._shared.hanging.set()
            names = ", ".join(stage.name for stage in sound)
            raise Unavailable(
                f"{names}: what they wait for did not answer for {patience_s:g} s; see whether the store is well"
            )
        finishing.check()

    def totals(self) -> Totals:
        counts = {stage.name: stage.counts for stage in self._stages}
        return {
            "recwatch_stage_records": {name: stage.records for name, stage in counts.items()},
            "recwatch_stage_published": {name: stage.published for name, stage in counts.items()},
            "recwatch_stage_unavailable": {name: stage.unavailable for name, stage in counts.items()},
            "recwatch_rebalances": {name: stage.rebalances for name, stage in counts.items()},
        }

    def _finish(self, stages: Sequence[Driven]) -> None:
        with ExitStack() as closings:
            for stage in reversed(stages):
                closings.callback(stage.close)
            for stage in stages if not self._shared.bus.durable else ():
                stage.drain()

    def _drive(self, stage: Driven) -> None:
        while not self._shared.stopping.is_set():
            wait_s = stage.step()
            self._joined.add(stage.name)
            self._shared.stopping.wait(wait_s)
