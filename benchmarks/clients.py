"""Clients of a recommender as a process of their own, which writes down when each request was due and what became of it."""

from __future__ import annotations

import asyncio
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recommender_ref.load import Load, Shape, Tally
from recwatch.core.signals import Float64


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What clients saw, one row a request: when it was due by the machine's clock, its latency, and whether it was answered.

    Latency counts from the moment when a request was due; all in seconds.
    """

    due_s: Float64
    latency_s: Float64
    ok: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path) -> Answers:
        """From the file that the clients wrote."""
        due_s, latency_s, ok = np.load(path, allow_pickle=False)
        return cls(due_s, latency_s, ok > 0.0)

    def between(self, start_s: float, end_s: float) -> Answers:
        """Those due from `start_s` on and before `end_s`."""
        due = (self.due_s >= start_s) & (self.due_s < end_s)
        return Answers(self.due_s[due], self.latency_s[due], self.ok[due])


def command(url: str, rate: float, seconds: float, seed: int, path: Path) -> list[str]:
    """The command line of clients that send so many requests a second, and leave their answers at `path`."""
    return [sys.executable, "-m", "benchmarks.clients", url, *map(str, (rate, seconds, seed, path))]


class _Ledger(Tally):
    """A tally that remembers each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = array("d")

    def answered(self, status: int | None, seconds: float) -> None:
        super().answered(status, seconds)
        self.rows.extend((asyncio.get_running_loop().time() - seconds, seconds, float(status == 200)))


class _Clients(Load):
    def __init__(self, url: str, rate: float, seconds: float, seed: int) -> None:
        super().__init__(url, Shape(rate, amplitude=0.0), seed, seconds, report=lambda _: None)
        self._whole = self.ledger = _Ledger()


def main(arguments: Sequence[str]) -> None:
    """Send, then write."""
    url, rate, seconds, seed, path = arguments
    clients = _Clients(url, float(rate), float(seconds), int(seed))
    asyncio.run(clients.run())
    np.save(path, np.array(clients.ledger.rows).reshape(-1, 3).T)


if __name__ == "__main__":
    main(sys.argv[1:])
