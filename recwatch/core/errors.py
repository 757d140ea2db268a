"""What can go wrong, in three words. Bugs are none of them: they crash."""

from __future__ import annotations


class RecwatchError(Exception):
    """A failure whose message is one clear sentence for the person at the keyboard."""


class BadInput(RecwatchError, ValueError):
    """Input that cannot be used as it is: a configuration, a query, a page. Says what, where, and what to do."""


class Unavailable(RecwatchError):
    """The world failed: a server is down, a queue is full, a disk refuses. Trying again later may help.

    Raised at the edge, `from` the vendor's error; caught once, in the stage runner.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
