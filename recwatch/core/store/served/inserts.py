"""INSERT with its data behind it: where the statement ends. The embedded engine takes the two apart from each other.

It would take them in one piece, too, and then end the data at the first empty line that it happens to find there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = rb'(?:[A-Za-z_]\w*|`[^`]+`|"[^"]+")'
_STATEMENT = rb"INSERT\s+INTO\s+(?:TABLE\s+)?" + _NAME + rb"(?:\s*\.\s*" + _NAME + rb")?\s*(?:\([^()]*\))?"
_DATA = re.compile(
    rb"\s*(?P<statement>" + _STATEMENT + rb"(?:\s*SETTINGS\s[^;]*?)?)"
    rb"(?:\s*\bFORMAT\s+(?P<format>\w+)[ \t\f]*(?:\r?\n)?|\s*\bVALUES\b)(?P<data>.*)",
    re.IGNORECASE | re.DOTALL,
)


class Insert(NamedTuple):
    """What is inserted into, and what, in which format."""

    statement: str
    format: str
    data: bytes


def insert_of(sql: bytes) -> Insert | None:
    r"""The parts of an INSERT that brings its data along; None for any other statement.

    >>> insert_of(b"INSERT INTO t (a, b) FORMAT CSV\n1,2\n\n3,4")
    Insert(statement='INSERT INTO t (a, b)', format='CSV', data=b'1,2\n\n3,4')
    >>> insert_of(b"INSERT INTO t VALUES (1, 'a\n\nb')")
    Insert(statement='INSERT INTO t', format='Values', data=b" (1, 'a\n\nb')")
    >>> insert_of(b"INSERT INTO t SELECT * FROM values('a Int8', 1)") is None
    True
    """
    parts = _DATA.fullmatch(sql)
    if parts is None:
        return None
    return Insert(parts["statement"].decode().rstrip(), (parts["format"] or b"Values").decode(), parts["data"])
