"""Native blocks of a served store as clients in Go read them: each begins with what ClickHouse's own protocol puts there."""

from __future__ import annotations

import pytest

from recwatch.core.store.served.native import of_revision
from tests.core.served import WRITER, Place

GO = 54460
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
