"""Sees messages through to one notifier, at that notifier's own pace."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread

from alerting.message import Message
from alerting.notifiers.notifier import Notifier
from recwatch.core.errors import BadInput, Unavailable

log = logging.getLogger(__name__)

Start = Callable[[Callable[[], None]], object]
"""Has a piece of work done, now or beside the caller."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a message is tried. Retries wait 1, 2, 4 ... seconds up to `longest_wait_s`, or as the receiver says."""

    attempts: int = 30
    longest_wait_s: float = 300.0


@dataclass(slots=True)
class Pending:
    """A message that a notifier has not accepted yet. `due_ms` is the wall clock of the next try; 0 is at once."""

    message: Message
    due_ms: int = 0
    attempts: int = 0


def in_thread(work: Callable[[], None]) -> None:
    """Do the work beside the caller; the process does not wait for it when it ends."""
    Thread(target=work, name="courier", daemon=True).start()


class Courier:
    """The queue of one notifier, in order of time; `sent` and `failed` count its messages.

    `deliver` starts what is due and returns, so that a notifier that hangs holds up its own messages only. After the last
    attempt, or a refusal, a message is dropped, logged and counted. What a notifier's bug raised is raised by the next
    `deliver`.
    """

    def __init__(self, name: str, notifier: Notifier, patience: Patience, start: Start = in_thread) -> None:
        self.sent = 0
        self.failed = 0
        self._name = name
        self._notifier = notifier
        self._patience = patience
        self._start = start
        self._queue: deque[Pending] = deque()
        self._lock = Lock()
        self._idle = Event()
        self._idle.set()
        self._died_of: BaseException | None = None

    def put(self, pending: Iterable[Pending]) -> None:
        """Add messages behind those that wait."""
        with self._lock:
            self._queue.extend(pending)

    def waiting(self) -> deque[Pending]:
        """The messages not yet accepted, that under way among them."""
        with self._lock:
            return self._queue.copy()

    def deliver(self, now_ms: int) -> None:
        """Start to send what is due at `now_ms`, unless sending is under way."""
        if self._died_of is not None:
            raise self._died_of
        with self._lock:
            begins = self._idle.is_set() and self._due(now_ms) is not None
            if begins:
                self._idle.clear()
        if begins:
            self._start(partial(self._work, now_ms))

    def settle(self, at_most_s: float) -> None:
        """Wait until nothing is under way, but no longer than this."""
        self._idle.wait(at_most_s)

    def close(self) -> None:
        self._notifier.close()

    def _work(self, now_ms: int) -> None:
        try:
            while (pending := self._next(now_ms)) is not None:
                if self._try(pending, now_ms):
                    with self._lock:
                        self._queue.popleft()
        except BaseException as error:  # noqa: BLE001 - the next `deliver` raises it where the stage runs
            self._died_of = error
            self._idle.set()

    def _next(self, now_ms: int) -> Pending | None:
        """What to send now; with nothing, sending is over before anyone can add a message."""
        with self._lock:
            pending = self._due(now_ms)
            if pending is None:
                self._idle.set()
            return pending

    def _due(self, now_ms: int) -> Pending | None:
        return self._queue[0] if self._queue and self._queue[0].due_ms <= now_ms else None

    def _try(self, pending: Pending, now_ms: int) -> bool:
        """Whether the notifier is done with this message, delivered or given up."""
        pending.attempts += 1
        try:
            self._notifier.send(pending.message)
        except BadInput as error:
            return self._give_up(str(error))
        except Unavailable as error:
            if pending.attempts >= self._patience.attempts:
                return self._give_up(f"{error}; gave up after {pending.attempts} attempts")
            wait_s = min(2.0 ** (pending.attempts - 1), self._patience.longest_wait_s)
            pending.due_ms = now_ms + int(1000 * max(wait_s, error.retry_after_s))
            return False
        self.sent += 1
        return True

    def _give_up(self, why: str) -> bool:
        self.failed += 1
        log.warning("Message dropped by notifier %s: %s", self._name, why)
        return True
