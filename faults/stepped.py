"""`recwatch run` with a clock that steps: an hour on at SIGUSR1, an hour back at SIGUSR2."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from recwatch.app.cli import main as set_up
from recwatch.app.config import load_config
from recwatch.app.roles import RoleName
from recwatch.app.run import run_role
from recwatch.core.clock import SystemClock

HOUR_MS = 3_600_000


class SteppedClock:
    """The machine's clock, off by as many hours as it was told to step."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._off_ms = 0
        for number, hours in ((signal.SIGUSR1, 1), (signal.SIGUSR2, -1)):
            signal.signal(number, lambda *_, hours=hours: self._step(hours))

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._off_ms

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def _step(self, hours: int) -> None:
        self._off_ms += hours * HOUR_MS


def run(role: str, file: Path, port: Annotated[int, typer.Option()] = 0) -> None:
    """Play the role until told to end."""
    set_up(verbose=False)
    run_role(RoleName.named(role), load_config(file), port, None, Console(soft_wrap=True, emoji=False), SteppedClock())


if __name__ == "__main__":
    typer.run(run)
