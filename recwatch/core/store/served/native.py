"""ClickHouse's Native format for clients that speak a revision of its protocol: the embedded engine writes none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from recwatch.core.store.served.engine import refused

# From here on a byte before each column says whether it is serialised in a way of its own, and clients in Go count on it.
# Clients that ask for an older revision read Native of no revision, too.
COLUMNS_SAY_HOW = 54454
# Field 1, no overflow row; field 2, bucket -1; no more fields.
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_AS_USUAL = b"\x00"
_KIND = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)
_WIDTHS: Mapping[str, int] = {
    **dict.fromkeys(("UInt8", "Int8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("UInt16", "Int16", "Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(("UInt32", "Int32", "Float32", "Date32", "DateTime", "Time", "IPv4"), 4),
    **dict.fromkeys(("UInt64", "Int64", "Float64", "DateTime64", "Time64"), 8),
    **dict.fromkeys(("UInt128", "Int128", "UUID", "IPv6"), 16),
    **dict.fromkeys(("UInt256", "Int256"), 32),
}
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))


def of_revision(body: bytes, revision: int) -> bytes:
    r"""Blocks of Native with what `revision` adds. Raises Refused for a column whose type ends nobody knows where.

    >>> of_revision(b"\x01\x01\x01n\x05UInt8\x07", 54460)
    b'\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01n\x05UInt8\x00\x07'
    """
    if revision < COLUMNS_SAY_HOW:
        return body
    made, at = bytearray(), 0
    while at < len(body):
        start = at
        columns, at = _number(body, at)
        rows, at = _number(body, at)
        made += _BLOCK_INFO + body[start:at]
        for _ in range(columns):
            start = at
            name_bytes, at = _number(body, at)
            kind_bytes, at = _number(body, at + name_bytes)
            kind, at = body[at : at + kind_bytes].decode(), at + kind_bytes
            made += body[start:at] + _AS_USUAL
            start = at
            if rows:
                at = _after(body, at + 8 * kind.count("LowCardinality("), kind, rows)
            made += body[start:at]
    return bytes(made)


def _after(body: bytes, at: int, kind: str, rows: int) -> int:
    """Where `rows` values of `kind`, which begin at `at`, end; their prefixes come before."""
    name, arguments = _parsed(kind)
    if name in _WIDTHS or name.startswith("Interval"):
        return at + rows * _WIDTHS.get(name, 8)
    if name not in _ENDS:
        raise refused(48, f"columns of type {kind} are not served to this client; cast them", "NOT_IMPLEMENTED")
    return _ENDS[name](body, at, arguments, rows)


def _after_strings(body: bytes, at: int, _: Sequence[str], rows: int) -> int:
    for _row in range(rows):
        length, at = _number(body, at)
        at += length
    return at


def _after_decimals(_: bytes, at: int, arguments: Sequence[str], rows: int) -> int:
    return at + rows * next(width for digits, width in _DECIMAL_WIDTHS if int(arguments[0]) <= digits)


def _after_all(body: bytes, at: int, kinds: Sequence[str], rows: int) -> int:
    for kind in kinds:
        at = _after(body, at, kind, rows)
    return at


def _after_lists(body: bytes, at: int, kinds: Sequence[str], rows: int) -> int:
    at += 8 * rows
    return _after_all(body, at, kinds, _uint64(body, at - 8) if rows else 0)


def _after_dictionary(body: bytes, at: int, arguments: Sequence[str], rows: int) -> int:
    if not rows:
        return at
    kind, index_bytes = arguments[0], 1 << (_uint64(body, at) & 0xFF)
    without_nulls = kind.removeprefix("Nullable(")[:-1] if kind.startswith("Nullable(") else kind
    at = _after(body, at + 16, without_nulls, _uint64(body, at + 8))
    return at + 8 + _uint64(body, at) * index_bytes


_ENDS: Mapping[str, Callable[[bytes, int, Sequence[str], int], int]] = {
    "String": _after_strings,
    "FixedString": lambda _, at, arguments, rows: at + rows * int(arguments[0]),
    "Decimal": _after_decimals,
    "Nullable": lambda body, at, arguments, rows: _after(body, at + rows, arguments[0], rows),
    "SimpleAggregateFunction": lambda body, at, arguments, rows: _after(body, at, arguments[1], rows),
    "Tuple": _after_all,
    "Array": _after_lists,
    "Map": _after_lists,
    "LowCardinality": _after_dictionary,
}


def _parsed(kind: str) -> tuple[str, Sequence[str]]:
    """The name of a type and its arguments; of the elements of a tuple their types only.

    >>> _parsed("Tuple(Map(String, UInt8), named Decimal(9, 2))")
    ('Tuple', ['Map(String, UInt8)', 'Decimal(9, 2)'])
    """
    parts = _KIND.fullmatch(kind)
    if parts is None or parts[2] is None:
        return kind, ()
    arguments, depth, start = [], 0, 0
    for at, letter in enumerate(parts[2] + ","):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            arguments.append(re.sub(r"^(?:\w+|`[^`]*`) (?=\w)", "", parts[2][start:at].strip()))
            start = at + 1
    return parts[1], arguments


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    number = shift = 0
    while True:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _uint64(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 8], "little")
