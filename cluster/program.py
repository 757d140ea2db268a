"""recwatch's own program as processes of this machine: any that says where it answers, and the store that is served."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from recwatch.app.children import Child
from recwatch.core.store.connection import PASSWORD_VARIABLE

RECWATCH = str(Path(sys.executable).with_name("recwatch"))
PROGRAM = (RECWATCH, "run")
"""What plays a role."""
ANSWER_S = 5.0
_WHERE = re.compile(r" answers at (http://[\d.]+:\d+)")


class Answering(Child):
    """A child that says where it answers over HTTP, as every role does, and the served store."""

    def __init__(self, name: str, command: Sequence[str], cwd: Path) -> None:
        super().__init__(name, command, cwd=cwd)
        self._url = ""

    @property
    def url(self) -> str:
        """Where it answers; empty until it has said so."""
        if not self._url:
            said = (_WHERE.search(line) for line in list(self.lines))
            self._url = next((found[1] for found in said if found), "")
        return self._url

    def get(self, path: str) -> httpx.Response:
        """Its answer. Raises httpx.TransportError where there is none."""
        # There are no certificates to verify on this way, and to load them takes longer than to ask.
        return httpx.get(self.url + path, timeout=ANSWER_S, trust_env=False, verify=False)

    def answers(self, path: str = "/readyz") -> bool:
        """Whether it is there, and says by this path that it can do its work."""
        try:
            return self.running() and bool(self.url) and self.get(path).is_success
        except httpx.TransportError:
            return False


def role_command(role: str, file: Path, program: Sequence[str] = PROGRAM) -> list[str]:
    """The command of a role that answers on any free port, but for the API, whose port the configuration names."""
    return [*program, role, str(file), *([] if role == "api" else ["--port", "0"])]


@dataclass(frozen=True, slots=True)
class ServedStore:
    """The embedded engine over files in `folder`, served on a port of loopback."""

    folder: Path
    port: int

    @property
    def dsn(self) -> str:
        return f"clickhouse://recwatch@127.0.0.1:{self.port}/default"

    @property
    def command(self) -> list[str]:
        passwords = ["--password-file", str(self._password), "--reader-password-file", str(self.folder / "reader-password")]
        return [RECWATCH, "store", "serve", f"chdb://{self.folder}/chdb", "--port", str(self.port), *passwords]

    @property
    def _password(self) -> Path:
        return self.folder / "store-password"

    @contextmanager
    def password_known(self) -> Iterator[None]:
        """Let this process, and those that it starts meanwhile, write to the store."""
        names = (PASSWORD_VARIABLE, f"{PASSWORD_VARIABLE}_FILE")
        before = {name: os.environ.pop(name) for name in names if name in os.environ}
        os.environ[names[1]] = str(self._password)
        try:
            yield
        finally:
            del os.environ[names[1]]
            os.environ.update(before)
