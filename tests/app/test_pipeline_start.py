"""A start that fails is a sentence, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recwatch.core.bus.memory import MemoryBus
from recwatch.core.bus.spool import Spool
from recwatch.core.errors import BadInput, Unavailable
from tests.app.shop import pipeline_of

# Opens a store, says so, and holds it until its input ends.
HOLDER = """
import sys
from recwatch.core.store import open_store
store = open_store(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_the_token_is_for_its_owner(content: dict[str, Any], tmp_path: Path) -> None:
    pipeline = pipeline_of(content)
    pipeline.stop()
    assert (tmp_path / "token").read_text() == pipeline.token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_taken_port_is_a_sentence_and_leaves_nothing_behind(content: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            Unavailable, match=rf"^The API cannot listen on 127.0.0.1:{port}: process {os.getpid()} \(.+\) does"
        ):
            pipeline_of(content | {"api": {"port": port}})
        assert list(tmp_path.iterdir()) == []
    pipeline = pipeline_of(content | {"api": {"port": port}})
    assert pipeline.url == f"http://127.0.0.1:{port}"
    pipeline.stop()


def test_a_store_that_another_process_holds_leaves_nothing_behind(content: dict[str, Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    content |= {"api": {"port": port}}
    command = [sys.executable, "-c", HOLDER, content["store"]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(BadInput, match=rf"/store: process {holder.pid} has it open; stop that one"):
            pipeline_of(content)
    assert not (tmp_path / "token").exists()
    socket.create_server(("127.0.0.1", port)).close()
    pipeline_of(content).stop()


def test_a_full_disk_is_a_sentence_and_leaves_a_folder_that_can_be_used(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as disk:
        disk.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3_500_000))
        with pytest.raises(Unavailable, match=rf"^store {tmp_path}/store: its disk is full but for 3 MiB; free 64 MiB, or"):
            pipeline_of(content)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == []
    pipeline_of(content).stop()


def test_a_token_file_that_cannot_be_written_lets_go_of_port_and_store(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match=r"The token file .+/file/token cannot be written: "):
        pipeline_of(content | {"token_file": str(tmp_path / "file/token")})
    pipeline_of(content).stop()


def test_a_spool_that_another_process_uses_leaves_nothing_open(content: dict[str, Any], tmp_path: Path) -> None:
    held = Spool(tmp_path / "spool", MemoryBus(), 2**26)
    with pytest.raises(BadInput, match=rf"^spool {tmp_path}/spool: process \d+ uses it"):
        pipeline_of(content)
    held.close()
    pipeline_of(content).stop()
