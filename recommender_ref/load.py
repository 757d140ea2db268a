"""An open-loop load: requests leave when they are due, whether or not earlier ones were answered.

Latency counts from the moment a request was due, so a server that stalls cannot hide it (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import pi, sin

import numpy as np

from recommender_ref.data import USERS, zipf
from recommender_ref.wire import BadAnswer, Connections

ACTIVITY_EXPONENT = 0.6
FAULTS_EVERY_S = 0.25
TIMEOUT_S = 10.0

Line = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rate (requests/s) goes over the day: a sinusoid around `rate`; `amplitude` is a share of it, 0..1.

    >>> Shape(rate=100.0, period_s=40.0, amplitude=0.5).at(10.0)
    150.0
    """

    rate: float
    period_s: float = 300.0
    amplitude: float = 0.05

    def at(self, second: float) -> float:
        """The rate `second` seconds after the start."""
        return self.rate * (1.0 + self.amplitude * sin(2 * pi * second / self.period_s))


class Arrivals:
    """Poisson arrivals of users, of whom a few are far more active than most (Zipf)."""

    def __init__(self, shape: Shape, seed: int, users: int = USERS) -> None:
        self._shape = shape
        self._rng = np.random.default_rng(seed)
        self._activity = np.cumsum(zipf(users, ACTIVITY_EXPONENT))
        self._ranked = self._rng.permutation(users)

    def due(self, after_s: float, factor: float) -> float:
        """When the next request is due: the last was at `after_s`, and the rate is multiplied by `factor`."""
        return after_s + float(self._rng.exponential(1.0 / (self._shape.at(after_s) * factor)))

    def user(self) -> int:
        """Who asks."""
        rank = np.searchsorted(self._activity, self._rng.random() * self._activity[-1])
        return int(self._ranked[rank])


@dataclass(slots=True)
class Tally:
    """What happened in a stretch of time; latencies in seconds."""

    sent: int = 0
    ok: int = 0
    shed: int = 0
    errors: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))

    def answered(self, status: int | None, seconds: float) -> None:
        """Count an answer, or with no status the lack of one."""
        self.latencies.append(seconds)
        if status == 200:
            self.ok += 1
        elif status == 503:
            self.shed += 1
        else:
            self.errors += 1

    def line(self, time_ms: int, overdue: Iterable[float] = ()) -> Line:
        """The figures; requests still unanswered count with their age so far, `overdue`."""
        ms = np.array([*self.latencies, *overdue]) * 1000

        def quantile(share: float) -> float | None:
            return round(float(np.quantile(ms, share)), 2) if len(ms) else None

        counts = {"sent": self.sent, "ok": self.ok, "shed": self.shed, "errors": self.errors}
        return {
            "time_ms": time_ms,
            **counts,
            "p50_ms": quantile(0.5),
            "p99_ms": quantile(0.99),
            "max_ms": quantile(1.0),
        }


class Load:
    """One run of the load generator against the server at `url`; a line a second goes to `report`."""

    def __init__(self, url: str, shape: Shape, seed: int, duration_s: float, report: Callable[[str], None]) -> None:
        self._connections = Connections(url)
        self._arrivals = Arrivals(shape, seed)
        self._duration_s = duration_s
        self._report = report
        self._second, self._whole = Tally(), Tally()
        self._waiting: dict[asyncio.Task[None], float] = {}
        self._factor = 1.0

    async def run(self) -> None:
        """Send until the duration is over or SIGINT or SIGTERM comes; then report the whole."""
        began = time.perf_counter()
        sending = asyncio.create_task(self._send(began))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, sending.cancel)
        beside = [asyncio.create_task(self._report_seconds()), asyncio.create_task(self._follow_surge())]
        with suppress(asyncio.CancelledError):
            await sending
            await asyncio.wait(self._waiting, timeout=TIMEOUT_S) if self._waiting else None
        overdue = self._ages(time.perf_counter())
        for task in (*beside, *self._waiting):
            task.cancel()
        await asyncio.gather(*beside, *self._waiting, return_exceptions=True)
        self._connections.close()
        seconds = round(time.perf_counter() - began, 3)
        self._report(json.dumps({"summary": True, "seconds": seconds, **self._whole.line(_now_ms(), overdue)}))

    async def _send(self, began: float) -> None:
        due = 0.0
        while (due := self._arrivals.due(due, self._factor)) < self._duration_s:
            await asyncio.sleep(began + due - time.perf_counter())
            task = asyncio.create_task(self._ask(self._arrivals.user(), began + due))
            self._waiting[task] = began + due
            task.add_done_callback(self._waiting.pop)
            for tally in (self._second, self._whole):
                tally.sent += 1

    async def _ask(self, user: int, due: float) -> None:
        status = None
        with suppress(BadAnswer, TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                status, _ = await self._connections.request("POST", "/recommend", b'{"user_id": %d}' % user)
        for tally in (self._second, self._whole):
            tally.answered(status, time.perf_counter() - due)

    async def _report_seconds(self) -> None:
        while True:
            await asyncio.sleep(1.0 - time.time() % 1.0)
            now = time.perf_counter()
            second, self._second = self._second, Tally()
            self._report(json.dumps(second.line(_now_ms(), [age for age in self._ages(now) if age > 1.0])))

    async def _follow_surge(self) -> None:
        """A surge is a fault of the load: ask the server, which holds the truth about faults, whether there is one."""
        while True:
            with suppress(BadAnswer, TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    status, body = await self._connections.request("GET", "/faults")
                active = (
                    [f for f in json.loads(body) if f["state"] == "active" and f["name"] == "surge"] if status == 200 else []
                )
                self._factor = active[0]["factor"] if active else 1.0
            await asyncio.sleep(FAULTS_EVERY_S)

    def _ages(self, now: float) -> list[float]:
        return [now - due for due in self._waiting.values()]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
