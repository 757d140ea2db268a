"""What a store says and keeps when the world fails it: real processes, real folders, real sockets."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.store import open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE, Connection, Embedded, Server, parse_dsn
from tests.core.examples import FOREVER

ENOUGH_S = 60

# Says "stored N" after each acknowledged insert, for as long as somebody listens.
WRITER = """
import sys
from recwatch.core.signals import Samples
from recwatch.core.store import open_store
from tests.core.examples import FOREVER
store = open_store(sys.argv[1], FOREVER)
for number in range(100_000):
    tick = {series_id: float(number) for series_id in range(7)}
    store.write_samples([Samples.of("shop", "", 1_700_000_000_000 + number, tick)], str(number))
    print("stored", number + 1, flush=True)
"""

# Opens a store, forbids itself files of more than 4 kB, and says how writing then fails.
FULL_DISK = """
import resource, sys
import numpy as np
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Samples
from recwatch.core.store import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
rows = 10_000
try:
    store.write_samples([Samples("s", "", np.zeros(rows, np.int64), np.zeros(rows, np.uint64), np.random.rand(rows))], "t")
except Unavailable as error:
    print(error)
"""

# Gives up root, if it has it, and says how opening a store fails.
NOBODY = """
import os, sys
from recwatch.core.errors import BadInput
from recwatch.core.store.connection import parse_dsn
if os.geteuid() == 0:
    os.setuid(65534)
try:
    parse_dsn(sys.argv[1]).arguments()
except BadInput as error:
    print(error)
"""


def python(program: str, dsn: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, dsn], stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path}/store"
    with python(WRITER, dsn) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(25)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.wait(ENOUGH_S)
    acknowledged = max(int(number) for number in re.findall(r"stored (\d+)\n", "".join(said)))
    assert acknowledged >= 25
    store = open_store(dsn, FOREVER)
    found = store.read(range(7), 1_700_000_000_000, 1_700_000_100_000)
    store.close()
    for times, values in found.values():
        assert values.tolist() == list(range(len(times)))
        assert acknowledged <= len(times) <= acknowledged + 1


def test_a_folder_that_another_process_has_open_is_refused_with_its_id(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path}/store"
    with python(WRITER, dsn) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "stored 1\n"
        with pytest.raises(BadInput, match=rf"{tmp_path}/store: process {holder.pid} has it open; stop that one"):
            open_store(dsn)
        holder.kill()
        holder.stdout.read()
        holder.wait(ENOUGH_S)
    open_store(dsn).close()


def test_one_process_has_one_folder_open(tmp_path: Path) -> None:
    first = open_store(f"chdb://{tmp_path}/one")
    with pytest.raises(BadInput, match=rf"{tmp_path}/other: this process has another store open"):
        open_store(f"chdb://{tmp_path}/other")
    first.close()
    open_store(f"chdb://{tmp_path}/other").close()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with python(FULL_DISK, f"chdb://{tmp_path}/store") as writer:
        said, _ = writer.communicate(timeout=ENOUGH_S)
    assert f"store {tmp_path}/store: writing failed (File too large); see whether the disk is full" in said


def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    open_store(f"chdb://{tmp_path}/deep/store").close()
    assert (tmp_path / "deep/store").stat().st_mode & 0o777 == 0o700


def test_a_relative_folder_is_relative_to_where_recwatch_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("chdb://.recwatch/store").close()
    assert (tmp_path / ".recwatch/store/metadata").is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/store"):
        with pytest.raises(BadInput, match=rf"store {tmp_path}/{path}: the folder cannot be made \(.+\); name another"):
            open_store(f"chdb://{tmp_path}/{path}")


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    for above in takewhile(lambda folder: folder.name.startswith(("pytest-", "popen-")), tmp_path.parents):
        above.chmod(0o755)
    with python(NOBODY, f"chdb://{tmp_path}") as opener:
        said, _ = opener.communicate(timeout=ENOUGH_S)
    assert said.startswith(f"store {tmp_path}: the folder may not be written; change its mode")


def test_a_server_that_is_away_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"store clickhouse://127.0.0.1:{port}/recwatch: it cannot be reached"):
            open_store(f"clickhouse://ana@127.0.0.1:{port}/recwatch")


def test_a_query_that_takes_too_much_is_refused_and_a_wrong_one_crashes(tmp_path: Path) -> None:
    connection = Connection(Embedded(tmp_path / "store"))
    with pytest.raises(Unavailable, match="it ran out of memory"):
        connection.query("SELECT groupArray(number) AS n FROM numbers(100000000) SETTINGS max_memory_usage = 10000000")
    with pytest.raises(Exception, match="UNKNOWN_TABLE") as bug:
        connection.query("SELECT * FROM nothing")
    assert not isinstance(bug.value, (BadInput, Unavailable))
    connection.close()


def test_an_engine_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "chdb" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(BadInput, match="the embedded engine is not installed; install chdb, or name a server"):
        Connection(Embedded(tmp_path))


def test_a_dsn_names_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_dsn("chdb:///var/lib/recwatch") == Embedded(Path("/var/lib/recwatch"))
    assert parse_dsn("clickhouse://db") == Server("db", 8123, "default", "default")
    place = parse_dsn("clickhouse://ana@db:9000/shop")
    assert place.arguments()["password"] == ""
    monkeypatch.setenv(f"{PASSWORD_VARIABLE}_FILE", str(tmp_path / "password"))
    with pytest.raises(BadInput, match=f"{PASSWORD_VARIABLE}_FILE names {tmp_path}/password, which cannot be read"):
        place.arguments()
    (tmp_path / "password").write_text("hush\n")
    assert place.arguments()["password"] == "hush"
    monkeypatch.setenv(PASSWORD_VARIABLE, "hushed")
    assert place.arguments()["password"] == "hushed"


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "chdb://",
        "chdb:///",
        "clickhouse://",
        "postgres://db/x",
        "/var/lib/recwatch",
        "clickhouse://db:port/x",
        "chdb:///a?b",
    ],
)
def test_a_dsn_that_names_nothing_is_answered_with_what_would(dsn: str) -> None:
    with pytest.raises(
        BadInput, match=rf"'{re.escape(dsn)}' names no store; write chdb:///path/to/folder or clickhouse://user@host"
    ):
        parse_dsn(dsn)


def test_a_password_in_a_dsn_is_refused_and_not_repeated() -> None:
    for dsn in ("clickhouse://ana:hush@db:8123/shop", "postgres://ana:hush@db", "clickhouse://ana:hush@db:port"):
        with pytest.raises(BadInput, match=PASSWORD_VARIABLE) as refused:
            parse_dsn(dsn)
        assert "hush" not in str(refused.value)
