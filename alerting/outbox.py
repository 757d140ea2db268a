"""Decides which incidents are worth a message, and sees each message through to every notifier."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from alerting.message import Message, Occasion, message_of
from alerting.notifiers.notifier import Notifier
from alerting.silences import silence_of
from recwatch.core.bus import Record
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.events import Cause, Incident, Severity, Silence
from recwatch.core.stage import Outgoing

REMEMBERED = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Retries wait 1, 2, 4 ... seconds up to `longest_wait_s`, or as the receiver says: near two hours by default.

    A page goes out at once. A ticket waits `ticket_wait_s` first, as it may be about to become a page.
    """

    attempts: int = 30
    longest_wait_s: float = 300.0
    ticket_wait_s: float = 5.0
    console_url: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message about an incident: on what occasion, and what it said."""

    occasion: Occasion
    cause: Cause
    severity: Severity


@dataclass(slots=True)
class Told:
    """The latest version of an incident, what has been said of it, and the wall clock at which it was first heard of."""

    incident: Incident
    since_ms: int
    sent: list[Sent] = field(default_factory=list)


@dataclass(slots=True)
class Pending:
    """A message that a notifier has not accepted yet. `due_ms` is the wall clock of the next try."""

    message: Message
    due_ms: int
    attempts: int = 0


@dataclass(slots=True)
class State:
    """All that an outbox remembers: incidents and silences by id, waiting messages by notifier."""

    told: dict[str, Told] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    queues: dict[str, deque[Pending]] = field(default_factory=dict)


_STATE = TypeAdapter(State)


def occasion_for(incident: Incident, sent: Sequence[Sent]) -> Occasion | None:
    """Why to send a message now, given those before; None for no reason.

    An incident gets one message when it opens and one when it resolves. Between them at most one because its top cause is
    another than the last message said, and one because a ticket became a page. If it flaps, one more says that it is open
    again and one that it resolved; after that it is silent. What resolved before anyone was told is not worth a message.
    """
    said = [s.occasion for s in sent]
    if incident.state == "resolved":
        return "resolved" if said and said[-1] != "resolved" else None
    if not said:
        return "open"
    if said[-1] == "resolved":
        return None if "reopened" in said else "reopened"
    if incident.severity == "page" and sent[-1].severity == "ticket" and "severity" not in said:
        return "severity"
    return "cause" if incident.cause is not sent[-1].cause and "cause" not in said else None


class Outbox:
    """Sends messages about incidents; one owner at a time runs it.

    Each notifier has its own queue in order of time. A notifier that is unavailable is tried again with growing waits, and
    the others are served meanwhile; only a try itself, up to the notifier's time-out, holds them up. After the last attempt,
    or a refusal, the message is dropped, logged and counted. Silenced incidents are kept, and sent if they are still open
    when the silence ends. `alerts_sent` and `alerts_failed` count messages by notifier; `pending` is what still waits.
    """

    name = "outbox"
    topics = ("incidents", "silences")

    def __init__(self, notifiers: Mapping[str, Notifier], config: OutboxConfig | None = None) -> None:
        self._notifiers = dict(notifiers)
        self._config = config or OutboxConfig()
        self._state = State(queues={name: deque() for name in notifiers})
        self.alerts_sent: Counter[str] = Counter(dict.fromkeys(notifiers, 0))
        self.alerts_failed: Counter[str] = Counter(dict.fromkeys(notifiers, 0))

    @property
    def pending(self) -> int:
        """Messages not yet accepted, over all notifiers."""
        return sum(map(len, self._state.queues.values()))

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._take(record.message, now_ms)
        self._state.silences = {k: s for k, s in self._state.silences.items() if s.end_ms > now_ms}
        for told in self._state.told.values():
            self._enqueue(told, now_ms)
        self._forget()
        for name in self._notifiers:
            self._deliver(name, now_ms)
        return ()

    def close(self) -> None:
        """Close every notifier."""
        with ExitStack() as closings:
            for notifier in self._notifiers.values():
                closings.callback(notifier.close)

    def snapshot(self) -> bytes:
        """All that is remembered, as JSON; it holds messages and no secrets."""
        return _STATE.dump_json(self._state)

    def restore(self, snapshot: bytes) -> None:
        """Take up where `snapshot` left off; messages for a notifier that is not configured any more are left out.

        Raises BadInput for one that another version wrote.
        """
        try:
            state = _STATE.validate_json(snapshot)
        except ValidationError as error:
            raise BadInput("the outbox's snapshot is of another version; start without it") from error
        state.queues = {name: state.queues.get(name, deque()) for name in self._notifiers}
        self._state = state

    def _take(self, message: object, now_ms: int) -> None:
        if isinstance(message, Silence):
            self._state.silences[message.id] = message
        elif isinstance(message, Incident):
            told = self._state.told.setdefault(message.id, Told(message, now_ms))
            # A repeated delivery starts again from older versions; history only grows.
            if len(message.history) >= len(told.incident.history):
                told.incident = message

    def _enqueue(self, told: Told, now_ms: int) -> None:
        incident = told.incident
        occasion = occasion_for(incident, told.sent)
        waits = incident.severity == "ticket" and now_ms - told.since_ms < 1000 * self._config.ticket_wait_s
        if occasion is None or waits or silence_of(incident, self._state.silences.values(), now_ms) is not None:
            return
        told.sent.append(Sent(occasion, incident.cause, incident.severity))
        message = message_of(incident, occasion, now_ms, self._config.console_url, nth=len(told.sent))
        for queue in self._state.queues.values():
            queue.append(Pending(message, now_ms))

    def _forget(self) -> None:
        resolved = [id_ for id_, told in self._state.told.items() if told.incident.state == "resolved"]
        for id_ in resolved[: max(0, len(resolved) - REMEMBERED)]:
            del self._state.told[id_]

    def _deliver(self, name: str, now_ms: int) -> None:
        queue = self._state.queues[name]
        while queue and queue[0].due_ms <= now_ms:
            if not self._try(name, queue[0], now_ms):
                return
            queue.popleft()

    def _try(self, name: str, pending: Pending, now_ms: int) -> bool:
        """Whether the notifier is done with this message, delivered or given up."""
        pending.attempts += 1
        try:
            self._notifiers[name].send(pending.message)
        except BadInput as error:
            return self._give_up(name, str(error))
        except Unavailable as error:
            if pending.attempts >= self._config.attempts:
                return self._give_up(name, f"{error}; gave up after {pending.attempts} attempts")
            wait_s = min(2.0 ** (pending.attempts - 1), self._config.longest_wait_s)
            pending.due_ms = now_ms + int(1000 * max(wait_s, error.retry_after_s))
            return False
        self.alerts_sent[name] += 1
        return True

    def _give_up(self, name: str, why: str) -> bool:
        self.alerts_failed[name] += 1
        log.warning("Message dropped by notifier %s: %s", name, why)
        return True
