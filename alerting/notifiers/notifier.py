"""What every way of telling people looks like to the outbox."""

from __future__ import annotations

from typing import Protocol

from alerting.message import Message


class Notifier(Protocol):
    """Delivers one message at a time, within seconds or not at all."""

    def send(self, message: Message) -> None:
        """Deliver; returns once accepted. Raises Unavailable if later may help, BadInput if refused for good."""
        ...

    def close(self) -> None:
        """Let go of connections; nothing is sent afterwards."""
        ...
