"""Decides which incidents are worth a message, and sees each message through to every notifier."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from alerting.courier import Courier, Patience, Pending, Start, in_thread
from alerting.message import Occasion, message_of
from alerting.notifiers.notifier import Notifier
from alerting.silences import silence_of
from recwatch.core.bus import Outgoing, Record
from recwatch.core.errors import BadInput
from recwatch.core.events import Cause, Incident, Severity, Silence

REMEMBERED = 1000
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """A page goes out at once. A ticket waits `ticket_wait_s` first, as it may be about to become a page.

    What a notifier does not take is tried for near two hours, unless `patience` says otherwise.
    """

    patience: Patience = field(default_factory=Patience)
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

    Each notifier has a courier of its own, so that none waits for another. Silenced incidents are kept, and sent if they are
    still open when the silence ends. `start` has the couriers' work done; a thread for each by default.
    """

    name = "outbox"
    topics = ("incidents", "silences")

    def __init__(
        self, notifiers: Mapping[str, Notifier], config: OutboxConfig | None = None, start: Start = in_thread
    ) -> None:
        self._config = config or OutboxConfig()
        self._couriers = {n: Courier(n, notifier, self._config.patience, start) for n, notifier in notifiers.items()}
        self._state = State()
        self._said = 0

    @property
    def acts(self) -> int:
        """Messages put into queues, and messages that left them."""
        return self._said + sum(self.alerts_sent.values()) + sum(self.alerts_failed.values())

    @property
    def alerts_sent(self) -> Mapping[str, int]:
        """Messages accepted, by notifier."""
        return {name: courier.sent for name, courier in self._couriers.items()}

    @property
    def alerts_failed(self) -> Mapping[str, int]:
        """Messages dropped, by notifier: refused, or tried too often."""
        return {name: courier.failed for name, courier in self._couriers.items()}

    @property
    def pending(self) -> int:
        """Messages not yet accepted, over all notifiers."""
        return sum(len(courier.waiting()) for courier in self._couriers.values())

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        for record in records:
            self._take(record.message, now_ms)
        self._state.silences = {k: s for k, s in self._state.silences.items() if s.end_ms > now_ms}
        for told in self._state.told.values():
            self._enqueue(told, now_ms)
        self._forget()
        for courier in self._couriers.values():
            courier.deliver(now_ms)
        return ()

    def close(self) -> None:
        """Close every notifier."""
        with ExitStack() as closings:
            for courier in self._couriers.values():
                closings.callback(courier.close)

    def snapshot(self) -> bytes:
        """All that is remembered, as JSON; it holds messages and no secrets.

        Sending that is under way gets a moment to end: what is not known to be accepted is sent again after a restore.
        """
        for courier in self._couriers.values():
            courier.settle(SETTLE_S / len(self._couriers))
        queues = {name: courier.waiting() for name, courier in self._couriers.items()}
        return _STATE.dump_json(replace(self._state, queues=queues))

    def restore(self, snapshot: bytes) -> None:
        """Take up where `snapshot` left off; messages for a notifier that is not configured any more are left out.

        Raises BadInput for one that another version wrote.
        """
        try:
            state = _STATE.validate_json(snapshot)
        except ValidationError as error:
            raise BadInput("the outbox's snapshot is of another version; start without it") from error
        for name, courier in self._couriers.items():
            courier.put(state.queues.get(name, ()))
        self._state = replace(state, queues={})

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
        self._said += 1
        message = message_of(incident, occasion, now_ms, self._config.console_url, nth=len(told.sent))
        for courier in self._couriers.values():
            courier.put([Pending(message)])

    def _forget(self) -> None:
        resolved = [id_ for id_, told in self._state.told.items() if told.incident.state == "resolved"]
        for id_ in resolved[: max(0, len(resolved) - REMEMBERED)]:
            del self._state.told[id_]
