"""How a long-running command learns that it is to end."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def told_to_end() -> Iterator[Sequence[int]]:
    """The signals received so far that end recwatch: Ctrl-C, SIGTERM, or the terminal's end.

    Under nohup the terminal's end changes nothing. Afterwards they are ignored, so that a second one does not cut the
    stopping short, nor the interpreter's own end.
    """
    told: list[int] = []
    always = (signal.SIGINT, signal.SIGTERM)
    heeded = always if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*always, signal.SIGHUP)
    for number in heeded:
        signal.signal(number, lambda number, _: told.append(number))
    try:
        yield told
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)
