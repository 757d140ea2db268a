"""The embedded engine behind ClickHouse's protocol: what clients get, and who is let in."""

from __future__ import annotations

import gzip
import re
import zlib
from base64 import b64encode
from contextlib import closing
from typing import Any

import httpx
import lz4.frame
import pytest
from clickhouse_connect.driver.compression import get_compressor
from clickhouse_connect.driver.exceptions import DatabaseError

from recwatch.app.store_server import StoreServer
from recwatch.core.errors import BadInput
from recwatch.core.store import open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE
from recwatch.core.store.served.http import LARGEST_READ_BYTES
from recwatch.core.store.served.wire import decoded
from tests.core.served import READER, WRITER, Place, as_utf8


def test_nothing_that_a_request_sets_is_there_for_the_next(place: Place) -> None:
    assert place.ask("SET max_threads = 1", WRITER).status_code == 200
    assert place.ask("USE system", WRITER).status_code == 200
    assert place.ask(
        "SELECT currentDatabase(), value != '1' FROM system.settings WHERE name = 'max_threads'", WRITER
    ).text == ("default\t1\n")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic " + b64encode(b"ana:").decode()},
        {"Authorization": "Basic " + b64encode(b"ana:hush").decode()},
        {"Authorization": "Basic " + b64encode(b"nobody:").decode()},
        {"Authorization": "Basic " + b64encode(b"eve:open sesame").decode()},
        {"Authorization": "Basic not-base64"},
        {"Authorization": "Bearer open sesame"},
        {"X-ClickHouse-User": "ana"},
        {"X-ClickHouse-User": "ben", "X-ClickHouse-Key": "open sesame"},
    ],
)
def test_who_is_not_known_is_told_nothing(place: Place, headers: dict[str, str]) -> None:
    answer = httpx.post(place.url, content="SELECT 1", headers=headers)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert "sesame" not in answer.text
    in_address = httpx.post(
        place.url, content="SELECT 1", headers=headers, params={"user": "ana", "password": "open sesame"}
    )
    assert in_address.status_code == 403


def test_users_say_who_they_are_in_either_way(place: Place) -> None:
    by_header = httpx.post(
        place.url, content="SELECT 1", headers={"X-ClickHouse-User": "ana", "X-ClickHouse-Key": "open sesame"}
    )
    assert by_header.text == "1\n"
    assert place.ask("SELECT 1", READER).text == "1\n"


def test_anybody_may_see_that_it_is_there(place: Place) -> None:
    assert httpx.get(f"{place.url}/ping").text == "Ok.\n"


def test_a_get_changes_nothing_whoever_asks(place: Place) -> None:
    answer = httpx.get(place.url, params={"query": "DROP TABLE t"}, auth=WRITER)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "497")
    assert httpx.get(place.url, params={"query": "SELECT a FROM t ORDER BY a FORMAT CSV"}, auth=WRITER).text == "1\n2\n"
    assert place.state() == place.first_state


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELEC 1", 400, "62"),
        ("SELECT * FROM nothing", 404, "60"),
        ("SELECT nothing", 404, "47"),
        ("SELECT no_such()", 404, "46"),
        ("SELECT * FROM nowhere.t", 404, "81"),
        ("SELECT 1 + 'x'", 400, "43"),
        ("SELECT throwIf(1)", 500, "395"),
    ],
)
def test_errors_are_clickhouses(place: Place, sql: str, status: int, code: str) -> None:
    answer = place.ask(sql, WRITER)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert re.match(rf"Code: {code}\. DB::Exception: .+ \([A-Z_]+\)", answer.text)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("TabSeparated", "1\tone\n"),
        ("JSONEachRow", '{"a":1,"b":"one"}\n'),
        ("CSVWithNames", '"a","b"\n1,"one"\n'),
        ("Native", "\x02\x01\x01a\x06UInt64\x01\0\0\0\0\0\0\0\x01b\x06String\x03one"),
    ],
)
def test_formats_are_asked_for_in_the_query_or_beside_it(place: Place, output: str, expected: str) -> None:
    sql = "SELECT a, b FROM t WHERE a = 1"
    in_query = place.ask(f"{sql} FORMAT {output}")
    assert in_query.content == place.ask(sql, default_format=output).content == expected.encode()
    assert in_query.headers["X-ClickHouse-Format"] == output
    by_header = httpx.post(place.url, content=sql, auth=WRITER, headers={"X-ClickHouse-Format": output})
    assert by_header.content == expected.encode()


PACKERS: dict[str, Any] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": lambda body: bytes(get_compressor("zstd").compress_block(body)),
}


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("chunked", [True, False])
def test_bodies_come_packed_and_in_pieces(place: Place, packing: str, chunked: bool) -> None:
    packed = PACKERS[packing](b"SELECT 'a body'")
    answer = httpx.post(
        place.url,
        content=iter((packed[:7], packed[7:])) if chunked else packed,
        auth=WRITER,
        headers={"Content-Encoding": packing},
    )
    assert answer.text == "a body\n"


@pytest.mark.parametrize("packing", PACKERS)
def test_answers_go_packed_where_that_is_worth_it(place: Place, packing: str) -> None:
    with httpx.stream(
        "POST",
        place.url,
        content="SELECT number FROM numbers(1000)",
        auth=WRITER,
        headers={"Accept-Encoding": f"br, {packing};q=0.5"},
    ) as answer:
        assert answer.headers["Content-Encoding"] == packing
        assert decoded(b"".join(answer.iter_raw()), packing, 10_000).split() == [b"%d" % n for n in range(1000)]
    assert "Content-Encoding" not in place.ask("SELECT 1").headers


def test_bodies_that_are_too_large_or_broken_are_refused(place: Place) -> None:
    headers = {"Content-Encoding": "gzip"}

    def sent(body: bytes) -> int:
        return httpx.post(place.url, content=body, auth=as_utf8(READER), headers=headers).status_code

    assert sent(gzip.compress(b" " * LARGEST_READ_BYTES + b"SELECT 1")) == 413
    assert sent(gzip.compress(b"SELECT 1")[:-3]) == 413
    assert sent(b"SELECT 1") == 500
    assert place.ask(b" " * LARGEST_READ_BYTES + b"SELECT 1").status_code == 413
    assert httpx.post(place.url, content=b"x", auth=WRITER, headers={"Content-Encoding": "br"}).status_code == 501
    assert place.ask("SELECT 1", compress="1").status_code == 501


@pytest.mark.parametrize("packing", ["lz4", "zstd", "gzip", False])
def test_the_http_client_of_clickhouse_connect_works_unchanged(place: Place, packing: str | bool) -> None:
    with closing(place.client(compress=packing)) as client:
        client.command("CREATE TABLE IF NOT EXISTS c (a UInt64, b LowCardinality(String), c Array(Float64)) ENGINE = Memory")
        rows = [[n, f"text {n % 7}", [n / 2, 0.1]] for n in range(5000)]
        assert client.insert("c", rows, column_names=["a", "b", "c"]).written_rows == 5000
        assert [list(row) for row in client.query("SELECT * FROM c ORDER BY a").result_rows] == rows
        assert client.query_arrow("SELECT a FROM c ORDER BY a").column("a").to_pylist() == list(range(5000))
        assert client.command("SELECT count(), 'x' FROM c") == ["5000", "x"]
        assert client.query("SELECT a FROM c WHERE a IN {ids:Array(UInt64)}", {"ids": list(range(4000))}).row_count == 4000
        with client.query_row_block_stream("SELECT a FROM c ORDER BY a") as blocks:
            assert [row[0] for block in blocks for row in block] == list(range(5000))
        with pytest.raises(DatabaseError) as missing:
            client.query("SELECT * FROM nothing")
        assert missing.value.code == 60
        client.command("DROP TABLE c")


def test_a_reader_uses_that_client_too(place: Place) -> None:
    with closing(place.client(READER)) as client:
        assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(1,), (2,)]
        for write in ("DROP TABLE t", "INSERT INTO t VALUES (3, 'x')"):
            with pytest.raises(DatabaseError) as refused:
                client.command(write)
            assert refused.value.code == 497


@pytest.mark.parametrize(
    "insert",
    [
        b'INSERT INTO i FORMAT JSONEachRow\n{"a": 1}\n\n{"a": 2}\n',
        b"insert into default.`i` (a) Values (1), (2);\n\n",
        b"INSERT INTO TABLE i SETTINGS async_insert = 0 FORMAT RowBinary\n\n\0\0\0\0\0\0\0\n\n\0\0\0\0\0\0",
        b"INSERT INTO i SELECT number\n\nFROM numbers(2)",
    ],
)
def test_data_does_not_end_at_an_empty_line(place: Place, insert: bytes) -> None:
    assert place.ask("CREATE TABLE i (a UInt64) ENGINE = Memory", WRITER).status_code == 200
    statement, _, data = insert.partition(b"\n")
    for query, body in [("", insert), (statement.decode(), data)]:
        assert place.ask(body, WRITER, query=query).status_code == 200
    assert place.ask("SELECT count() FROM i", WRITER).text == "4\n"
    assert place.ask("DROP TABLE i", WRITER).status_code == 200


def test_a_store_that_is_open_here_can_be_read_from_elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_store(f"chdb://{place.folder}/store")) as store:
        assert store.samples_stored() == 0
        assert place.ask("SELECT count() FROM samples").text == "0\n"
    monkeypatch.setenv(PASSWORD_VARIABLE, WRITER[1])
    with closing(open_store(f"clickhouse://ana@{place.url.removeprefix('http://')}/default")) as store:
        assert store.samples_stored() == 0
    others = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name != 't'"
    for table in place.ask(others, WRITER).text.split():
        assert place.ask(f"DROP TABLE {table}", WRITER).status_code == 200
    assert place.state() == place.first_state


def test_a_server_is_not_served() -> None:
    with pytest.raises(BadInput, match="'clickhouse://db/x' is a server, which answers for itself; name an embedded store"):
        StoreServer("clickhouse://db/x", [], 0, "")
