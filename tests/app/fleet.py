"""The distributed deployment for tests: a store that is served, and roles as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import yaml

from recwatch.core.store.connection import PASSWORD_VARIABLE
from tests.app.shop import ENOUGH_S, until

RECWATCH = [sys.executable, "-c", "import sys; from recwatch.app.cli import app; app(sys.argv[1:])"]


@dataclass
class Running:
    """A process of recwatch, and where it answers."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, timeout=ENOUGH_S)

    def metric(self, line: str) -> float:
        """The value of a metric, named with its labels; 0 where it is not there."""
        rows = [row.removeprefix(f"{line} ") for row in self.get("/metrics").text.splitlines() if row.startswith(f"{line} ")]
        return float(rows[0]) if rows else 0.0

    def end(self) -> int:
        """Tell it to end as an orchestrator does. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENOUGH_S)


@dataclass
class Fleet:
    """Starts what shares a configuration, a bus and a store; each process has a folder of its own."""

    folder: Path
    content: Mapping[str, Any]
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    stack: ExitStack = field(default_factory=ExitStack)

    def role(self, name: str, *options: str) -> subprocess.Popen[str]:
        """The process of a role, just started; `running` waits for it, so that several can start at once."""
        file = self.folder / "recwatch.yaml"
        file.write_text(yaml.safe_dump(dict(self.content)))
        return self._start("run", name, str(file), "--port", "0", *options)

    def answering(self, process: subprocess.Popen[str]) -> Running:
        """The process once it says where it answers."""
        return Running(process, _said(process, r" answers at (http://\S+)"))

    def running(self, process: subprocess.Popen[str]) -> Running:
        """The process once it answers and is ready."""
        found = self.answering(process)
        until(lambda: found.get("/readyz").is_success, f"{found.url} is ready")
        return found

    def serve_store(self) -> str:
        """Serve a store; its DSN. The password is in `env`."""
        passwords = [f"--{who}password-file={self.folder}/{who}password" for who in ("", "reader-")]
        process = self._start("store", "serve", f"chdb://{self.folder}/store", "--port", "0", *passwords)
        dsn = _said(process, r"(clickhouse://\S+/default)")
        self.env[PASSWORD_VARIABLE] = (self.folder / "password").read_text()
        return dsn

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*RECWATCH, *arguments],
            env=self.env,
            cwd=mkdtemp(dir=self.folder),
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
        self.stack.callback(_end, process)
        return process


@contextmanager
def fleet(folder: Path, content: Mapping[str, Any]) -> Iterator[Fleet]:
    """A fleet over the bus that `content` names and a served store, all of which ends in the end."""
    with ExitStack() as stack:
        found = Fleet(folder, content, stack=stack)
        found.content = {**content, "store": found.serve_store()}
        yield found


def _said(process: subprocess.Popen[str], pattern: str) -> str:
    """What the process says that fits."""
    assert process.stdout is not None
    for line in iter(process.stdout.readline, ""):
        if fitting := re.search(pattern, line):
            return fitting[1]
    raise AssertionError(f"{process.args!r} ended with {process.wait(ENOUGH_S)} and did not say {pattern}")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(ENOUGH_S)
    if process.stdout is not None:
        process.stdout.close()
