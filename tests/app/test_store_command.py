"""`recwatch store serve` and the reading side of `recwatch up`, as real processes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from recwatch.app.cli import app
from recwatch.app.config import parse_config
from recwatch.core.canonical import canonical_series
from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store import open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE
from tests.app.shop import shop, watched
from tests.app.test_cli import ended, up, written
from tests.core.examples import FOREVER
from tests.waiting import ENOUGH_S

SERVE = "from recwatch.app.cli import app; app(['store', 'serve', '--port', '0'])"
NOW_MS = 1_700_000_000_000
DEPTH = canonical_series("shop", "queue_depth")


def test_several_processes_use_a_served_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", SERVE]
    popen = partial(subprocess.Popen, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with shop() as pages, popen(command) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            password, reader = tmp_path / ".recwatch/store-password", tmp_path / ".recwatch/reader-password"
            assert {file.stat().st_mode & 0o777 for file in (password, reader)} == {0o600}
            dsn = re.search(r"clickhouse://recwatch@127.0.0.1:\d+/default", "".join(said))
            assert dsn is not None
            checked = ["check", str(written(tmp_path, watched(tmp_path, pages) | {"store": dsn[0]}))]
            refused = CliRunner().invoke(app, checked)
            assert (refused.exit_code, "it refuses the user or the password" in refused.stderr) == (1, True)
            assert said[2] == f"{PASSWORD_VARIABLE}_FILE={password}. Press Ctrl-C to stop.\n"
            monkeypatch.setenv(f"{PASSWORD_VARIABLE}_FILE", str(password))
            assert CliRunner().invoke(app, checked).exit_code == 0
            with closing(open_store(dsn[0], FOREVER)) as one, closing(open_store(dsn[0], FOREVER)) as other:
                one.write_samples([Samples.of("shop", "", NOW_MS, {DEPTH.id: 7.0})], "token")
                assert other.read([DEPTH.id], NOW_MS, NOW_MS)[DEPTH.id][1].tolist() == [7.0]
            url = re.search(r"http://127.0.0.1:\d+", said[0])
            assert url is not None
            answer = httpx.post(url[0], content="SELECT count() FROM samples", auth=("reader", reader.read_text()))
            assert answer.text == "1\n"
            with closing(open_store(dsn[0], FOREVER)) as store:
                store.check()
                process.send_signal(signal.SIGSTOP)
                with pytest.raises(Unavailable, match=r"/default: it cannot be reached; see whether the server is up"):
                    store.check()
                process.send_signal(signal.SIGCONT)
                store.check()
            process.send_signal(signal.SIGTERM)
            assert ended(process) == (0, [])
        finally:
            process.kill()


def test_up_lets_others_read_its_store(tmp_path: Path) -> None:
    file = tmp_path / "reader-password"
    with shop() as server:
        content = watched(tmp_path, server) | {"store_reader": {"port": 0, "password_file": str(file)}}
        with up(tmp_path, content) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            line = next(line for line in lines if line.startswith("The store answers at "))
            url = line.split()[4].rstrip(".")
            sql = "SELECT count() FROM system.tables WHERE name = 'samples' AND database = currentDatabase()"
            answer = httpx.post(url, content=sql, auth=("reader", file.read_text()), timeout=ENOUGH_S)
            assert answer.text == "1\n"
            refused = httpx.post(url, content="DROP TABLE samples", auth=("reader", file.read_text()), timeout=ENOUGH_S)
            assert refused.status_code == 403
            process.send_signal(signal.SIGTERM)
            assert ended(process) == (0, [])


def test_a_server_needs_no_reading_side() -> None:
    content = {"services": [{"name": "shop", "targets": ["http://127.0.0.1:1/metrics"]}], "store_reader": {}}
    with pytest.raises(BadInput, match="store_reader is for the embedded store; a server answers for itself"):
        parse_config(content | {"store": "clickhouse://db/x"}, "recwatch.yaml")
