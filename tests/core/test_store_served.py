"""The embedded engine behind ClickHouse's protocol: what clients get, and what a user that may only read does not."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import lz4.frame
import pytest
from clickhouse_connect.driver.compression import get_compressor
from clickhouse_connect.driver.exceptions import DatabaseError

from recwatch.app.store_server import StoreServer
from recwatch.core.errors import BadInput
from recwatch.core.store import open_store
from recwatch.core.store.connection import PASSWORD_VARIABLE
from recwatch.core.store.served import User
from recwatch.core.store.served.http import LARGEST_READ_BYTES
from recwatch.core.store.served.native import of_revision
from recwatch.core.store.served.wire import decoded

MARKER = "what no reader may see"
WRITER, READER = ("ana", "open sesame"), ("ben", "hush: it is a secret, ü")
GO = 54460
STATE = """
    SELECT (SELECT groupArray((a, b)) FROM (SELECT a, b FROM t ORDER BY a)), groupArray((database, name, create_table_query))
    FROM system.tables WHERE database != 'system'
"""


class Tripwire:
    """A port of this machine; `touched` is how many connected to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.touched = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.touched += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


class Place:
    """A served store with one table, beside what readers of it are after."""

    def __init__(self, url: str, folder: Path, tripwire: Tripwire) -> None:
        self.url, self.folder, self.tripwire = url, folder, tripwire
        self.first_state: tuple[str, list[str]] = ("", [])
        self.secret = folder / "secret.csv"
        self.secret.write_text(f'"{MARKER}"\n1\n')

    def ask(self, sql: str | bytes, user: tuple[str, str] = READER, **parameters: str) -> httpx.Response:
        return httpx.post(self.url, content=sql, params=parameters, auth=_latin(user), timeout=60)

    def state(self) -> tuple[str, list[str]]:
        """All that a write could have changed."""
        return self.ask(STATE, WRITER).text, sorted(path.name for path in self.folder.iterdir())

    def client(self, user: tuple[str, str] = WRITER, **arguments: Any) -> Any:
        host, port = self.url.removeprefix("http://").split(":")
        return clickhouse_connect.get_client(
            host=host, port=int(port), username=user[0], password=user[1], autogenerate_session_id=False, **arguments
        )


def _latin(user: tuple[str, str]) -> tuple[bytes, bytes]:
    """As UTF-8, which httpx leaves as it is."""
    return user[0].encode(), user[1].encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("served")
    users = [User(*WRITER, writes=True), User(*READER), User("nobody", "")]
    with closing(Tripwire()) as tripwire, closing(StoreServer(f"chdb://{folder}/store", users, 0, "")) as server:
        place = Place(server.url, folder, tripwire)
        assert place.ask("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a", WRITER).status_code == 200
        assert place.ask("INSERT INTO t VALUES (1, 'one'), (2, 'it''s; two')", WRITER).status_code == 200
        place.first_state = place.state()
        yield place


READS = [
    "SELECT a, b FROM default.t WHERE a IN (SELECT 1) ORDER BY a",
    "WITH x AS (SELECT 1 AS k) SELECT x.*, COLUMNS('k') APPLY(toString) FROM x ARRAY JOIN [1, 2] AS n",
    "SELECT sumIf(a, a > 1), quantile(0.9)(a), uniqExactMerge(s) FROM (SELECT uniqExactState(a) AS s, a FROM t GROUP BY a)",
    "SELECT CASE a WHEN 1 THEN 'x' ELSE 'y' END, a::String, [1, 2][1], -a, b LIKE 'o%', row_number() OVER w FROM t"
    " WINDOW w AS (PARTITION BY b ORDER BY a)",
    "SELECT toStartOfInterval(now(), INTERVAL 5 MINUTE) AS t, count() FROM numbers(3) GROUP BY t ORDER BY t WITH FILL",
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
    "SELECT 'file(''/etc/passwd''); DROP TABLE t -- ' AS `INTO OUTFILE`",
    "SELECT a AS file FROM t -- a comment",
    "/* before */ (SELECT 1);",
    "SHOW TABLES",
    "SHOW DATABASES",
    "SHOW CREATE TABLE t",
    "DESCRIBE TABLE `default`.`t`",
    "EXISTS TABLE t",
    "SELECT name, value FROM system.settings LIMIT 1",
    "SELECT displayName(), version(), revision(), timezone(), currentDatabase(), hostName()",
]


@pytest.mark.parametrize("sql", READS)
def test_a_reader_reads(place: Place, sql: str) -> None:
    answer = place.ask(sql)
    assert answer.status_code == 200, answer.text
    assert answer.content


@pytest.mark.parametrize("sql", READS)
def test_a_reader_is_answered_as_a_writer_is(place: Place, sql: str) -> None:
    if "now()" not in sql and "system." not in sql:
        assert place.ask(sql).content == place.ask(sql, WRITER).content


ATTACKS = [
    "SELECT file('{secret}')",
    "SELECT `fi\\x6ce`('{secret}')",
    "SELECT \"file\"('{secret}')",
    "SELECT a FROM t WHERE b = file('{secret}')",
    "SELECT arrayMap(x -> file(x), ['{secret}'])",
    "SELECT * APPLY(file) FROM (SELECT '{secret}' AS x)",
    "SELECT * REPLACE (file(x) AS x) FROM (SELECT '{secret}' AS x)",
    "SELECT 1 UNION ALL SELECT length(file('{secret}'))",
    "WITH (SELECT file('{secret}')) AS x SELECT x",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM `{secret}`",
    "SELECT * FROM loop(file('{secret}', 'LineAsString'))",
    "SELECT * FROM view(SELECT * FROM file('{secret}', 'LineAsString'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('{secret}')))",
    "SELECT * FROM eval('SELECT file(''{secret}'')')",
    "SELECT * FROM filesystem('{folder}')",
    "SELECT * FROM fileCluster('default', '{secret}', 'LineAsString')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM Python(secrets)",
    "SELECT * FROM Python(MARKER)",
    "DESCRIBE file('{secret}')",
    "DESCRIBE TABLE file('{secret}', 'CSVWithNames')",
    "DESC `{secret}`",
    "DESCRIBE (SELECT * FROM file('{secret}'))",
    "EXISTS file('{secret}')",
    "EXPLAIN SELECT file('{secret}')",
    "EXPLAIN SYNTAX run_query_tree_passes = 1 SELECT file('{secret}')",
    "SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')",
    "DESCRIBE url('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM remote('127.0.0.1:{port}', 'system.one')",
    "SELECT * FROM remoteSecure('127.0.0.1:{port}', 'system.one')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/x.csv', 'CSV', 'a Int8')",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'a', 'b', 'c', 'd', 'a Int8')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'k', 'k String')",
    "SELECT * FROM executable('cat {secret}', TabSeparated, 'a String')",
    "SELECT aiGenerate('x')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(100)",
    "SELECT addressToLine(toUInt64(1))",
    "SELECT getClientHTTPHeader('authorization')",
    "SELECT 1 INTO OUTFILE '{folder}/out.csv'",
    "SELECT 1 INTO OUTFILE '{secret}' TRUNCATE FORMAT CSV",
    "INSERT INTO t VALUES (3, 'three')",
    "INSERT INTO t SELECT 3, 'three'",
    "INSERT INTO t FROM INFILE '{secret}' FORMAT CSV",
    "INSERT INTO FUNCTION file('{folder}/out.csv', 'CSV', 'a Int8') VALUES (1)",
    "INSERT INTO FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'a Int8') VALUES (1)",
    "CREATE TABLE u (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE u (a Int8)",
    "CREATE TABLE u (a String) ENGINE = File(CSV, '{secret}')",
    "CREATE VIEW u AS SELECT file('{secret}')",
    "CREATE FUNCTION u AS x -> file(x)",
    "CREATE DATABASE u",
    "CREATE USER u",
    "CREATE NAMED COLLECTION u AS a = 1",
    "DROP TABLE t",
    "TRUNCATE TABLE t",
    "ALTER TABLE t DELETE WHERE 1",
    "ALTER TABLE t MODIFY TTL toDateTime(a)",
    "RENAME TABLE t TO u",
    "DETACH TABLE t",
    "OPTIMIZE TABLE t FINAL",
    "DELETE FROM t WHERE 1",
    "UPDATE t SET b = '' WHERE 1",
    "GRANT ALL ON *.* TO ben",
    "SYSTEM STOP MERGES",
    "SYSTEM SHUTDOWN",
    "SYSTEM DROP MARK CACHE",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE t TO File('{folder}/backup')",
    "SET readonly = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT a FROM (SELECT a FROM t SETTINGS readonly = 0)",
    "SELECT 1 FORMAT TSV SETTINGS allow_introspection_functions = 1",
    "SELECT 1; DROP TABLE t",
    "SELECT 1; SET readonly = 0; DROP TABLE t",
    "SELECT 1;\n-- two\nSELECT file('{secret}')",
    "SELECT 1\0; DROP TABLE t",
    "DESCRIBE TABLE t; DROP TABLE t",
    "SHOW CREATE TABLE t; SELECT file('{secret}')",
    "SHOW TABLES; SELECT file('{secret}')",
    "SELECT 1 PARALLEL WITH DROP TABLE t",
    "USE system",
    "EXECUTE AS ana SELECT 1",
    "BEGIN TRANSACTION",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_reader_gets_nothing_else(place: Place, attack: str) -> None:
    sql = attack.replace("{secret}", str(place.secret)).replace("{folder}", str(place.folder))
    answer = place.ask(sql.replace("{port}", str(place.tripwire.port)))
    assert answer.status_code >= 400
    assert MARKER not in answer.text
    assert int(answer.headers["X-ClickHouse-Exception-Code"]) > 0
    assert place.state() == place.first_state
    assert place.tripwire.touched == 0
    assert place.secret.read_text().startswith(f'"{MARKER}"')


def test_a_query_of_a_reader_is_utf8(place: Place) -> None:
    assert place.ask(b"SELECT '\xff'").status_code == 403


def test_what_a_reader_binds_is_a_value(place: Place) -> None:
    secret = str(place.secret)
    assert place.ask("SELECT {x:String}", param_x="file('/etc/passwd')").text == "file(\\'/etc/passwd\\')\n"
    for sql in (
        "SELECT * FROM {x:Identifier}",
        "SELECT {f:Identifier}({x:String})",
        "SELECT * FROM {f:Identifier}({x:String})",
    ):
        answer = place.ask(sql, param_x=secret, param_f="file")
        assert answer.status_code >= 400
        assert MARKER not in answer.text


def test_settings_of_a_reader_are_on_the_list_or_passed_over(place: Place) -> None:
    asked = "SELECT name, value FROM system.settings WHERE name IN ({names:Array(String)}) ORDER BY name"
    wanted = {
        "readonly": "0",
        "max_execution_time": "0",
        "max_memory_usage": "0",
        "allow_ddl": "0",
        "date_time_output_format": "iso",
    }
    names = "[" + ",".join(f"'{name}'" for name in wanted) + "]"
    answer = place.ask(asked, READER, param_names=names, **wanted)
    told = {line.partition("\t")[0]: line.partition("\t")[2] for line in answer.text.splitlines()}
    assert told == {
        "readonly": "1",
        "max_execution_time": "30",
        "max_memory_usage": str(2**30),
        "allow_ddl": "1",
        "date_time_output_format": "iso",
    }


@pytest.mark.parametrize("value", ["iso' , readonly = 0 --", "iso\\", "iso'; DROP TABLE t; --"])
def test_a_setting_is_a_value(place: Place, value: str) -> None:
    assert place.ask("SELECT 1", date_time_output_format=value).status_code >= 400
    assert place.state() == place.first_state


def test_a_database_is_a_name(place: Place) -> None:
    assert place.ask("SELECT count() FROM one", database="system").text == "1\n"
    assert place.ask("SELECT 1", database="x`; DROP TABLE t; --").status_code == 404
    assert place.state() == place.first_state


def test_nothing_that_a_request_sets_is_there_for_the_next(place: Place) -> None:
    assert place.ask("SET max_threads = 1", WRITER).status_code == 200
    assert place.ask("USE system", WRITER).status_code == 200
    assert place.ask(
        "SELECT currentDatabase(), value != '1' FROM system.settings WHERE name = 'max_threads'", WRITER
    ).text == ("default\t1\n")


def test_an_answer_that_is_too_large_is_refused(place: Place) -> None:
    assert place.ask("SELECT number FROM numbers(1000001)").headers["X-ClickHouse-Exception-Code"] == "396"


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
        return httpx.post(place.url, content=body, auth=_latin(READER), headers=headers).status_code

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


COLUMNS = [
    "number",
    "toInt8(number)",
    "toInt128(number)",
    "toUInt256(number)",
    "toFloat32(number)",
    "number % 2 = 0",
    "toString(number)",
    "toFixedString(toString(number % 10), 3)",
    "toLowCardinality(toString(number % 300))",
    "toLowCardinality(toNullable(toString(number % 3)))",
    "if(number % 2, NULL, toString(number))",
    "NULL",
    "[number, 1]",
    "range(number % 3)",
    "emptyArrayString()",
    "[[toString(number)], []]",
    "arrayMap(x -> toLowCardinality(toString(x)), range(number % 4))",
    "map('k', number, 'l', 2)",
    "map(toLowCardinality('k'), [number])",
    "(number, toLowCardinality('x'), 'y')",
    "CAST((number, 'y'), 'Tuple(n UInt64, `a name` Nullable(String))')",
    "toDate('2020-01-01') + number",
    "toDate32('2020-01-01')",
    "toDateTime(number, 'UTC')",
    "toDateTime64(number, 3, 'Europe/Rome')",
    "toDecimal32(number, 2)",
    "toDecimal64(number, 2)",
    "toDecimal128(number, 2)",
    "toDecimal256(number, 2)",
    "CAST('a, (b', 'Enum8(\\'a, (b\\' = 1, \\')\\' = 2)')",
    "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
    "toIPv4('1.2.3.4')",
    "toIPv6('::1')",
    "toIntervalDay(number)",
    "CAST(number, 'SimpleAggregateFunction(sum, UInt64)')",
]


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_of_every_type_are_framed_for_clients_in_go(place: Place, column: str) -> None:
    sql = f"SELECT {column} AS c, 'the end' AS e FROM numbers(1000) SETTINGS max_block_size = 300 FORMAT Native"
    plain = place.ask(sql, WRITER).content
    framed = place.ask(sql, WRITER, client_protocol_version=str(GO)).content
    info, end = b"\x01\x00\x02\xff\xff\xff\xff\x00\x02", b"\x01e\x06String"
    assert framed.startswith(info)
    assert framed.count(info) == framed.count(end + b"\x00\x07the end") == plain.count(end) == 4
    assert len(framed) == len(plain) + 4 * (8 + 2)
    assert place.ask(sql, WRITER, client_protocol_version="54405").content == plain


def test_a_type_that_ends_nobody_knows_where_is_refused(place: Place) -> None:
    answer = place.ask("SELECT sumState(1) FORMAT Native", client_protocol_version=str(GO))
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert "AggregateFunction(sum, UInt8) are not served to this client; cast them" in answer.text


def test_a_block_without_rows_is_framed() -> None:
    assert of_revision(b"\x01\x00\x01n\x05UInt8", GO) == b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x00\x01n\x05UInt8\x00"
    assert of_revision(b"", GO) == b""


def test_a_store_that_is_open_here_can_be_read_from_elsewhere(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(f"chdb://{place.folder}/store")) as store:
        assert store.samples_stored() == 0
        assert place.ask("SELECT count() FROM samples").text == "0\n"
    monkeypatch.setenv(PASSWORD_VARIABLE, WRITER[1])
    with closing(open_store(f"clickhouse://ana@{place.url.removeprefix('http://')}/default")) as store:
        assert store.samples_stored() == 0
    for table in ("samples_to_1m", "samples", "samples_1m", "series", "events", "memories", "schema_version"):
        place.ask(f"DROP TABLE {table}", WRITER)


def test_a_server_is_not_served() -> None:
    with pytest.raises(BadInput, match="'clickhouse://db/x' is a server, which answers for itself; name an embedded store"):
        StoreServer("clickhouse://db/x", [], 0, "")
