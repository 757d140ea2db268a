"""A process that dies, or sleeps, between two steps: the bus and the store as it reaches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from recwatch.core.bus import Assigned, Bus, M, Position, Record, Subscription
from recwatch.core.bus.memory import MemoryBus
from recwatch.core.errors import Unavailable
from recwatch.core.stage import Snapshot
from recwatch.core.store import Store


class LastingBus(MemoryBus):
    """A bus in memory that outlives its readers, each of which is a process to it."""

    durable = True


def overslept(joined: Subscription) -> None:
    """What the client of Kafka does with a membership once it finds that the last poll is too long ago.

    When it finds that depends on how fast the machine is, and so on what else the machine does.
    """
    member: Any = joined
    if not member._leaving:
        member._consumer._coordinator.maybe_leave_group()


class Died(BaseException):
    """The end of a process, which nothing of it survives."""


def die() -> None:
    raise Died


class Fate:
    """What happens to one process: it meets `end` right before or after the `nth` of its steps of one kind.

    A step has a name, such as polling, publishing, keeping or committing.
    """

    def __init__(self, when: str = "", nth: int = 0, end: Callable[[], None] = die) -> None:
        self._when = when
        self._left = nth
        self._end = end

    def meet(self, step: str, do: Callable[[], Any]) -> Any:
        self._perhaps(f"before {step}")
        done = do()
        self._perhaps(f"after {step}")
        return done

    def _perhaps(self, now: str) -> None:
        if now == self._when:
            self._left -= 1
            if self._left == -1:
                self._end()


class FatedBus:
    """A real bus. What a process has joined it leaves without a word when it is `gone`."""

    durable = True

    def __init__(self, bus: Bus, fate: Fate) -> None:
        self._bus = bus
        self._fate = fate
        self._joined: list[Subscription] = []

    def publish(self, topic: str, key: str, message: Any) -> None:
        self._fate.meet("publishing", lambda: self._bus.publish(topic, key, message))

    def publish_all(self, waiting: list[M]) -> None:
        while waiting:
            self.publish(*waiting[0])
            del waiting[0]

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> Subscription:
        self._joined.append(self._bus.subscribe(group, topics, on_assigned, on_revoked))
        return FatedSubscription(self._joined[-1], self._fate)

    def partition_of(self, key: str) -> int:
        return self._bus.partition_of(key)

    def lag(self, group: str) -> int:
        return self._bus.lag(group)

    def kept(self, topic: str) -> Sequence[Record]:
        return self._bus.kept(topic)

    def forget(self, group: str) -> None:
        self._bus.forget(group)

    def close(self) -> None:
        """The bus goes on."""

    def gone(self) -> None:
        for joined in self._joined:
            joined.close()

    def overslept(self) -> None:
        """On Kafka, of every membership."""
        for joined in self._joined:
            overslept(joined)


class FatedSubscription:
    def __init__(self, subscription: Subscription, fate: Fate) -> None:
        self._subscription = subscription
        self._fate = fate

    @property
    def generation(self) -> int:
        return self._subscription.generation

    def poll(self, max_wait_s: float) -> Sequence[Record]:
        polled = self._subscription.poll(max_wait_s)
        if polled:
            self._fate.meet("polling", lambda: None)
        return polled

    def attend(self) -> None:
        self._subscription.attend()

    def commit(self, offsets: Mapping[Position, int], metadata: Mapping[Position, str] | None = None) -> None:
        self._fate.meet("committing", lambda: self._subscription.commit(offsets, metadata))

    def committed(self, position: Position) -> tuple[int, str] | None:
        return self._subscription.committed(position)

    def close(self) -> None:
        self._subscription.close()


class FatedStore:
    """The snapshots of a real store, which whole tests share, each in a `corner` of its own."""

    def __init__(self, store: Store, fate: Fate, corner: str) -> None:
        self._store = store
        self._fate = fate
        self._corner = corner

    def save_snapshot(self, name: str, snapshot: Snapshot) -> None:
        self._fate.meet("keeping", lambda: self._store.save_snapshot(self._corner + name, snapshot))

    def load_snapshot(self, name: str) -> Snapshot | None:
        return self._store.load_snapshot(self._corner + name)


class CutBus(FatedBus):
    """A real bus that can be `cut` off from a process, as by a broken network; that process then is silent to its group."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus, Fate())
        self.cut = Event()

    def publish(self, topic: str, key: str, message: Any) -> None:
        self.require()
        super().publish(topic, key, message)

    def subscribe(
        self, group: str, topics: Sequence[str], on_assigned: Assigned | None = None, on_revoked: Assigned | None = None
    ) -> Subscription:
        self.require()
        return CutSubscription(super().subscribe(group, topics, on_assigned, on_revoked), self)

    def kept(self, topic: str) -> Sequence[Record]:
        self.require()
        return super().kept(topic)

    def require(self) -> None:
        if self.cut.is_set():
            raise Unavailable("the network is cut", retry_after_s=0.1)


class CutSubscription(FatedSubscription):
    def __init__(self, subscription: Subscription, bus: CutBus) -> None:
        super().__init__(subscription, Fate())
        self._bus = bus

    def poll(self, max_wait_s: float) -> Sequence[Record]:
        self._bus.require()
        return super().poll(max_wait_s)
