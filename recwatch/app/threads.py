"""What runs beside the main thread: workers that say what they died of, and troubles that are told once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread

logger = logging.getLogger(__name__)


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


class Trouble:
    """Logs that the world fails `of` when that begins, and `over` when it ends, however often it is told of it between."""

    def __init__(self, of: str, over: str = "it works again.") -> None:
        self._of = of
        self._over = over
        self._there = False

    def now(self, sentence: str) -> None:
        """`sentence` says what is wrong at the moment; it is empty where nothing is."""
        if bool(sentence) != self._there:
            self._there = bool(sentence)
            logger.warning("%s: %s", self._of, sentence or self._over)
