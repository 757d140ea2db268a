"""How events travel and are kept: as JSON, of several versions of one id the highest."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter

from recwatch.core.events import Anomaly, Incident, Mark, Silence
from recwatch.core.proposals import ENDED, Decision, Proposal, ProposalState

Event = Anomaly | Mark | Incident | Silence | Proposal | Decision
E = TypeVar("E", bound=Event)
OPEN_STATES = frozenset({"open", *get_args(ProposalState)}) - ENDED
"""Those of incidents and proposals that something is still to come of."""


def version_of(event: Event) -> int:
    """Grows with every step in the life of an event, so that an old one that comes again is told from a new one.

    Of equal versions the one that comes last counts.
    """
    match event:
        case Anomaly():
            return int(event.end_ms is not None)
        case Incident():
            return len(event.history) * 1_000_000 + len(event.anomalies)
        case Proposal():
            return len(event.history)
        case Mark() | Silence() | Decision():
            return 0


def goes_on(event: Event) -> bool:
    """Whether it is of now, however long ago it began."""
    match event:
        case Incident() | Proposal():
            return event.state in OPEN_STATES
        case Anomaly():
            return event.end_ms is None
        case Mark() | Silence() | Decision():
            return False


def started_ms(event: Event) -> int:
    """When the event began, was created, or was done."""
    match event:
        case Anomaly() | Incident() | Silence():
            return event.start_ms
        case Proposal():
            return event.created_ms
        case Mark() | Decision():
            return event.time_ms


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in get_args(Event)}


def to_json(event: Event) -> str:
    """The event as JSON text; `from_json` gives an equal event back."""
    return _ADAPTERS[type(event)].dump_json(event).decode()


def from_json(kind: type[E], text: str | bytes) -> E:
    """The event of this kind that `to_json` wrote.

    >>> mark = Mark.of("shop", "deploy", 5, "ranker v2", by="ci")
    >>> from_json(Mark, to_json(mark)) == mark
    True
    """
    event: E = _ADAPTERS[kind].validate_json(text)
    return event
