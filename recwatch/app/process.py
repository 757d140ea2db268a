"""A process of recwatch: some of its roles, or all, and one server that answers for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from recwatch.app.handled import Handled
from recwatch.app.health import Health
from recwatch.app.roles.role import Role, Shared, Totals
from recwatch.app.server import Server
from recwatch.app.telemetry import LagCollector, TotalCollector
from recwatch.app.threads import Trouble, Worker, ended
from recwatch.core.errors import RecwatchError, Unavailable
from recwatch.core.progress import Progress
from recwatch.core.store import Store

TOLD_EVERY_S = 5.0

R = TypeVar("R", bound=Role)


def said_once(sentences: Sequence[str]) -> Sequence[str]:
    """The sentences, without those that another says, too: who waits for the store says why, as the store does.

    >>> said_once(["the store is away", "the sink waits: the bus is away", "the bus is away", "the store is away"])
    ['the store is away', 'the sink waits: the bus is away']
    """
    found = dict.fromkeys(sentences)
    return [one for one in found if not any(one in other for other in found if other != one)]


class Process:
    """Roles are stopped in the opposite order of their adding. `store` is what they need one for, if they do."""

    def __init__(self, shared: Shared, server: Server, store: Store | None) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.health = Health(self.registry, self._died_of, lambda: said_once(list(self._lacks())))
        self.url = server.url
        self._shared = shared
        self._server = server
        self._store = store
        self._roles: list[Role] = []
        self._workers: list[Worker] = []
        self.registry.register(TotalCollector(self.totals))
        self.registry.register(LagCollector(shared.bus.lag, self._groups, self._handled))

    def add(self, role: R) -> R:
        """Have the role started, watched and stopped with the others."""
        self._roles.append(role)
        return role

    def start(self, app: ASGIApp) -> None:
        """Start every thread, and answer with `app`."""
        self._workers = [Worker("server", partial(self._server.serve, app)), Worker("progress", self._tell_progress)]
        for worker in self._workers:
            worker.start()
        for role in self._roles:
            role.start()

    def check(self) -> None:
        """Raise what a thread died of, if one did."""
        for worker in self._workers:
            worker.check()
        for role in self._roles:
            role.check()

    def stop(self) -> None:
        """Answer nobody any more, and let every role finish; one that fails does not keep the others from it."""
        self._shared.stopping.set()
        with ExitStack() as ending:
            ending.callback(ended, self._workers, self._shared.clock)
            for role in self._roles:
                ending.callback(role.stop)
            self._server.stop()

    def totals(self) -> Totals:
        """What the roles have counted, by metric."""
        totals: dict[str, dict[str, int]] = {}
        for role in self._roles:
            for name, counted in role.totals().items():
                totals.setdefault(name, {}).update(dict(counted))
        return totals

    def _groups(self) -> Sequence[str]:
        return [group for role in self._roles for group in role.groups]

    def _handled(self) -> Mapping[str, Handled]:
        """Those stages that ever handled samples."""
        found = {stage: handled for role in self._roles for stage, handled in role.handled.items()}
        return {stage: handled for stage, handled in found.items() if handled.until_ms}

    def _died_of(self) -> str:
        try:
            self.check()
        except Exception as error:  # noqa: BLE001 (the main thread raises it, too)
            return f"{type(error).__name__}: {error}"
        return ""

    def _lacks(self) -> Iterator[str]:
        yield from (lack for role in self._roles if (lack := role.lacks()))
        try:
            for group in self._groups():
                self._shared.bus.lag(group)
            if self._store is not None:
                self._store.check()
        except RecwatchError as error:
            yield str(error)

    def _tell_progress(self) -> None:
        """Publish every few seconds how far each stage has come, if the bus has room."""
        trouble = Trouble("progress", "the bus takes it again.")
        while not self._shared.stopping.wait(TOLD_EVERY_S):
            try:
                for stage, handled in self._handled().items():
                    self._shared.bus.publish("progress", stage, Progress(stage, dict(handled.until_ms)))
            except Unavailable as error:
                trouble.now(str(error))
            else:
                trouble.now("")
