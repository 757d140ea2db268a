"""What a user that may only read gets of a served store, and what not."""

from __future__ import annotations

import pytest

from tests.core.served import MARKER, READER, WRITER, Place

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


@pytest.mark.parametrize("sql", [sql for sql in READS if "now()" not in sql and "system." not in sql])
def test_a_reader_is_answered_as_a_writer_is(place: Place, sql: str) -> None:
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


def test_an_answer_that_is_too_large_is_refused(place: Place) -> None:
    assert place.ask("SELECT number FROM numbers(1000001)").headers["X-ClickHouse-Exception-Code"] == "396"
