"""What every stage between two topics looks like to the runner that drives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from recwatch.core.bus import Record


class Outgoing(NamedTuple):
    """A message for the bus. The key is the service, so that whoever consumes sees the whole of it."""

    topic: str
    key: str
    message: Any


class Stage(Protocol):
    """Turns records into messages. Retry, timing and commits are the runner's work; the world is an argument.

    `process` is called with what was polled, possibly nothing (so that time passes), and with the wall clock. It raises
    `Unavailable` when the world fails; the runner then calls it again with the same records.
    """

    name: str
    topics: tuple[str, ...]

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]: ...
