"""The history in a ClickHouse table that holds a row for each sample → values at common times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collectors.past import Past, matrix
from collectors.remote_write import NAME
from collectors.selector import Matcher, Selector
from recwatch.core.errors import BadInput
from recwatch.core.signals import Int64
from recwatch.core.store.connection import Connection, parse_dsn

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TABLE = re.compile(rf"(?:{_IDENTIFIER.pattern}\.)?{_IDENTIFIER.pattern}")

_SQL = """
    SELECT metric, tags, groupArray(at_ms) AS times, groupArray(reading) AS readings FROM (
        SELECT {name} AS metric, {labels} AS tags, argMax({value}, {time}) AS reading,
            intDiv(toUnixTimestamp64Milli(toDateTime64({time}, 3)) + {{step_ms:Int64}} - 1, {{step_ms:Int64}})
                * {{step_ms:Int64}} AS at_ms
        FROM {table}
        WHERE {time} > fromUnixTimestamp64Milli({{after_ms:Int64}}) AND {time} <= fromUnixTimestamp64Milli({{end_ms:Int64}})
            AND ({selected})
        GROUP BY metric, tags, at_ms
    ) GROUP BY metric, tags
"""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Which columns hold what: `labels` is a Map(String, String), `time` a DateTime or DateTime64, `value` a number."""

    time: str = "time"
    value: str = "value"
    name: str = "name"
    labels: str = "labels"

    @classmethod
    def parse(cls, text: str) -> TableColumns:
        """Read what differs from the usual names.

        >>> TableColumns.parse("value=v,labels=tags")
        TableColumns(time='time', value='v', name='name', labels='tags')
        """
        pairs = [part.partition("=")[::2] for part in text.split(",") if part.strip()]
        given = {of.strip(): column.strip() for of, column in pairs}
        unknown = sorted(given.keys() - set(cls.__dataclass_fields__))
        bad = [column for column in given.values() if not _IDENTIFIER.fullmatch(column)]
        if unknown or bad:
            raise BadInput(f"'{text}' names no columns; write time=…, value=…, name=… and labels=…, separated by commas")
        return cls(**given)


class PastTable:
    """The rows of `table` in the database that `dsn` names."""

    def __init__(self, dsn: str, table: str, columns: TableColumns) -> None:
        if not _TABLE.fullmatch(table):
            raise BadInput(f"'{table}' is no name of a table; write TABLE or DATABASE.TABLE")
        self._columns = columns
        self._table = table
        self._connection = Connection(parse_dsn(dsn))

    def select(self, selectors: Sequence[Selector], time_ms: Int64) -> Past:
        step_ms = int(time_ms[1] - time_ms[0]) if len(time_ms) > 1 else 1000
        conditions, parameters = self._conditions(selectors)
        columns = self._columns
        sql = _SQL.format(
            name=columns.name,
            labels=columns.labels,
            value=columns.value,
            time=columns.time,
            table=self._table,
            selected=conditions,
        )
        found = self._connection.query(
            sql, step_ms=step_ms, after_ms=int(time_ms[0]) - step_ms, end_ms=int(time_ms[-1]), **parameters
        )
        return matrix(
            [
                (_labels(row), np.array(row["times"], np.int64), np.array(row["readings"], np.float64))
                for row in found.to_pylist()
            ],
            time_ms,
        )

    def close(self) -> None:
        self._connection.close()

    def _conditions(self, selectors: Sequence[Selector]) -> tuple[str, dict[str, object]]:
        """The selectors as SQL, and the values of its parameters. The engine's expressions are Prometheus's: RE2's."""
        parameters: dict[str, object] = {}
        conditions = [[self._condition(matcher, parameters) for matcher in one.matchers] for one in selectors]
        return " OR ".join(f"({' AND '.join(of_one)})" for of_one in conditions), parameters

    def _condition(self, matcher: Matcher, parameters: dict[str, object]) -> str:
        number = len(parameters)
        parameters[f"label{number}"] = matcher.label
        parameters[f"fits{number}"] = f"^(?s:{matcher.fits.pattern})$"
        column = self._columns.name if matcher.label == NAME else f"{self._columns.labels}[{{label{number}:String}}]"
        return f"match({column}, {{fits{number}:String}}) = {int(matcher.wanted)}"


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {NAME: _text(row["metric"])} | {_text(name): _text(value) for name, value in row["tags"]}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
