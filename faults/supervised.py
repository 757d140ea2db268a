"""A process that is started again whenever it ends, as systemd does with `Restart=always`."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread

from cluster.program import Answering

RESTART_S = 1.0
DRAINED_S = 15.0
LOOK_S = 0.05


class Supervised:
    """Runs `command` until `end`. `crashes` says how it ended when nobody had asked for that."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path) -> None:
        self.name = name
        self.crashes: list[str] = []
        self._command = command
        self._cwd = cwd
        self._away_s = RESTART_S
        self._killed = self._over = False
        self._awake = Event()
        self._child = Answering(name, command, cwd=cwd)
        self._thread = Thread(target=self._supervise, name=f"supervise {name}", daemon=True)
        self._thread.start()

    def ready(self) -> bool:
        """Whether it answers, and says that it can do its work."""
        return self._child.answers()

    def running(self) -> bool:
        """Whether it is there just now."""
        return self._child.running()

    def kill(self, away_s: float = RESTART_S) -> None:
        """Kill it, as a crash of its machine would; it is back after `away_s`."""
        self._away_s, self._killed = away_s, True
        self.send(signal.SIGKILL)

    def pause(self) -> None:
        """Have it do nothing, with all its connections open, until `resume`."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there just now."""
        if self._child.running():
            os.kill(self._child.pid, number)

    def end(self) -> int:
        """End it for good, with time to finish what it has begun. Returns what it ended with."""
        self._over = True
        self._awake.set()
        self._thread.join()
        self._child.stop(DRAINED_S)
        code = self._child.exit_code
        if code and not self._killed:
            self.crashes.append(self._child.failure())
        return code or 0

    @property
    def lines(self) -> Sequence[str]:
        """What it said last."""
        return list(self._child.lines)

    def _supervise(self) -> None:
        while not self._over:
            if self._child.running():
                self._awake.wait(LOOK_S)
                continue
            if not self._killed:
                self.crashes.append(self._child.failure())
            self._awake.wait(self._away_s)
            self._away_s, self._killed = RESTART_S, False
            if not self._over:
                self._child.stop()
                self._child = Answering(self.name, self._command, cwd=self._cwd)
