"""Child processes: started with their output kept, stopped for certain."""

from __future__ import annotations

import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from recwatch.core.errors import Unavailable

STOP_GRACE_S = 2.0


class Child:
    """A process of ours, in a process group of its own so that Ctrl-C reaches it through us only.

    Its standard input stays open, and empty, for as long as we are there: by its end it learns of ours. `lines` holds its
    last lines of output, standard error among them.
    """

    def __init__(self, name: str, command: Sequence[str], cwd: Path | None = None) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=200)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours, never outside text
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"Could not start {name} ({command[0]}): {error.strerror}.") from error
        self._reader = Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it is there."""
        return self._process.poll()

    def failure(self) -> str:
        """How it ended, with its last words; empty while it is there."""
        if self.running():
            return ""
        self._reader.join(timeout=1.0)
        last = " ".join(list(self.lines)[-3:]) or "it printed nothing"
        return f"{self.name} ended with exit code {self._process.returncode}: {last}"

    def require_running(self) -> None:
        """Raise Unavailable with its last words when it has ended."""
        if failure := self.failure():
            raise Unavailable(failure)

    def ask_to_stop(self) -> None:
        """Ask it to end, without waiting."""
        if self.running():
            self._process.send_signal(signal.SIGTERM)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Ask it to end; insist after the grace period."""
        self.ask_to_stop()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=1.0)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _read(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as output:
                for line in output:
                    self.lines.append(line.rstrip("\n"))
