"""What runs beside the main thread: workers that say what they died of, and troubles that are told once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Thread

from recwatch.core.clock import Clock

logger = logging.getLogger(__name__)

THREADS_END_S = 1.5


class Worker(Thread):
    """A thread that remembers what it died of, and that the process does not wait for when it ends."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.died_of: BaseException | None = None
        self._work = work

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whoever watches the worker raises it in the main thread
            self.died_of = error

    def check(self) -> None:
        """Raise what it died of, if it did."""
        if self.died_of is not None:
            raise self.died_of


def ended(workers: Sequence[Worker], clock: Clock) -> list[bool]:
    """Whether each worker, all of which were told to end, did so in time and not of a failure; one never started did."""
    until_s = clock.monotonic_s() + THREADS_END_S
    for worker in workers:
        if worker.ident is not None:
            worker.join(max(0.0, until_s - clock.monotonic_s()))
    return [not worker.is_alive() and worker.died_of is None for worker in workers]


class Trouble:
    """Logs that the world fails `of` when that begins, and `over` when it ends, however often it is told of it between."""

    def __init__(self, of: str, over: str = "it works again.") -> None:
        self._of = of
        self._over = over
        self.sentence = ""

    def now(self, sentence: str) -> None:
        """`sentence` says what is wrong at the moment; it is empty where nothing is."""
        if bool(sentence) != bool(self.sentence):
            logger.warning("%s: %s", self._of, sentence or self._over)
        self.sentence = sentence
