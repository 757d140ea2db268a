"""How a member of a group on Kafka is told of changes of its partitions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.future import Future

from recwatch.core.bus.brokers import Brokers, failures_of

Partitions = Iterable[TopicPartition]


class Changes(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Tells of each change in a thread of its own, while the poll that brings it waits; of none once it is `over`.

    Whoever is told commits, and a commit waits for the client's loop, which must not wait for it.
    """

    def __init__(
        self,
        place: Brokers,
        consumer: KafkaConsumer,
        gained: Callable[[Partitions], None],
        given_up: Callable[[Partitions, bool], None],
    ) -> None:
        self.over = False
        self._place = place
        self._consumer = consumer
        self._gained = gained
        self._given_up = given_up
        self._failures: list[Exception] = []

    def raise_failure(self) -> None:
        """Raise what whoever was told failed of, if it did."""
        if self._failures:
            raise self._failures.pop(0)

    async def on_partitions_assigned(self, assigned: Partitions) -> None:
        await self._aside(lambda: self._gained(assigned))

    async def on_partitions_revoked(self, revoked: Partitions) -> None:
        await self._aside(lambda: self._given_up(revoked, False))

    async def on_partitions_lost(self, lost: Partitions) -> None:
        await self._aside(lambda: self._given_up(lost, True))

    async def _aside(self, tell: Callable[[], None]) -> None:
        if not self.over:
            done = Future()
            threading.Thread(target=self._tell, args=(tell, done), daemon=True).start()
            await done

    def _tell(self, tell: Callable[[], None], done: Future) -> None:
        try:
            with failures_of(self._place):
                tell()
        except Exception as error:  # noqa: BLE001 (raised by the poll)
            self._failures.append(error)
        done.success(None)
        # The client's loop looks at `done` only when something wakes it; this does, and asks nothing of a broker.
        self._consumer.bootstrap()
