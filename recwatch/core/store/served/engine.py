"""The embedded engine for several users at once: each question is asked through a client of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from recwatch.core.store.connection import Embedded
from recwatch.core.store.served.inserts import Insert, insert_of
from recwatch.core.store.served.reading import harmful_functions, refusal, shows_only

MIB = 2**20
READER_SETTINGS: Mapping[str, object] = {
    "max_execution_time": 30,
    "max_memory_usage": 1024 * MIB,
    "max_result_bytes": 256 * MIB,
    "max_result_rows": 1_000_000,
    "allow_introspection_functions": 0,
}
ACCESS_DENIED, UNKNOWN_EXCEPTION, SYNTAX_ERROR = 497, 1002, 62
_FUNCTIONS = "SELECT name, alias_to, categories FROM system.functions WHERE NOT is_aggregate"
_CODE = re.compile(r"Code: (\d+)\. ")


@dataclass(frozen=True, slots=True)
class Question:
    """One statement, with its data if it inserts. `parameters` are bound by the engine, their values escaped as in TSV."""

    sql: bytes
    format: str = "TabSeparated"
    parameters: Mapping[str, str] | None = None
    settings: Mapping[str, str] | None = None
    database: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine gave, in the format asked for, and what it counted meanwhile."""

    body: bytes
    summary: Mapping[str, str]


class Refused(Exception):
    """The engine, or what guards it, did not answer. `code` is one of ClickHouse's; the text is in ClickHouse's form."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Engine:
    """chDB over a folder that no other process has open. Safe from several threads, which do not wait for each other.

    The constructor raises BadInput or Unavailable where the folder cannot be used.
    """

    def __init__(self, folder: Embedded) -> None:
        import chdb  # noqa: PLC0415 (half a second and 200 MB; only who opens an engine pays for it)

        folder.arguments()
        self._connect: Callable[[], Any] = partial(chdb.connect, os.path.realpath(folder.folder))
        self._opened = self._connect()  # the engine lives as long as any of its clients
        rows = _run(self._opened, _FUNCTIONS, "JSONCompactEachRow")
        self._harmful = harmful_functions(tuple(json.loads(line)) for line in rows.body.splitlines())
        said = _run(self._opened, "SELECT timezone(), displayName()").body.decode()
        self.timezone, self.name = said.rstrip("\n").split("\t")

    def answer(self, question: Question) -> Answer:
        """Do whatever is asked. Raises Refused."""
        with self._client(question.database, question.settings or {}) as client:
            insert = insert_of(question.sql)
            if insert is not None:
                return _inserted(client, insert)
            return _run(client, question.sql, question.format, question.parameters)

    def show(self, question: Question) -> Answer:
        """Answer what reads the store and nothing else of this machine, with bounds on time and memory. Raises Refused.

        `readonly` alone does not do: with it, chDB still runs `file('/etc/passwd')` as a function, `INTO OUTFILE`,
        `DESCRIBE url(…)`, `KILL` and `SYSTEM STOP MERGES`. So the engine's own parser says first what is asked.
        """
        reason = self._why_not_shown(question.sql)
        if reason is not None:
            raise refused(ACCESS_DENIED, reason, "ACCESS_DENIED")
        settings = {**(question.settings or {}), **READER_SETTINGS, "readonly": 1}
        with self._client(question.database, settings) as client:
            return _run(client, question.sql, question.format, question.parameters)

    def _why_not_shown(self, sql: bytes) -> str | None:
        try:
            text = sql.decode()
        except UnicodeDecodeError:
            return "a query of this user is UTF-8"
        if "\0" in text:
            return "a query of this user holds no NUL"
        if shows_only(text):
            return None
        with closing(self._connect()) as client:
            try:
                tree = _run(client, "SELECT parseQueryToJSON({sql:String})", "RawBLOB", {"sql": _escaped(text)})
            except Refused as error:
                if error.code == SYNTAX_ERROR:
                    raise
                return "this user may only read"
        return refusal(json.loads(tree.body), self._harmful)

    @contextmanager
    def _client(self, database: str, settings: Mapping[str, object]) -> Iterator[Any]:
        with closing(self._connect()) as client:
            if database:
                _run(client, f"USE {_quoted(database, '`')}")
            for name, value in settings.items():
                _run(client, f"SET {name} = {_quoted(str(value), chr(39))}")
            yield client

    def close(self) -> None:
        self._opened.close()


def refused(code: int, reason: str, name: str) -> Refused:
    """A refusal in the form of ClickHouse's own."""
    return Refused(code, f"Code: {code}. DB::Exception: {reason}. ({name})")


def _run(client: Any, sql: str | bytes, output: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> Answer:
    with _refusing():
        result = client.query(sql, output, params=dict(parameters or {}))
    read = {"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read())}
    return Answer(result.bytes() or b"", read | _counts(result.rows_written(), result.bytes_written(), result.elapsed()))


def _inserted(client: Any, insert: Insert) -> Answer:
    with _refusing(), client.send_insert(insert.statement, insert.format) as stream:
        stream.append(insert.data)
        result = stream.finish()
    return Answer(b"", _counts(result.rows_written, result.bytes_written, result.elapsed))


def _counts(written_rows: int, written_bytes: int, elapsed_s: float) -> dict[str, str]:
    counts = {"written_rows": written_rows, "written_bytes": written_bytes, "elapsed_ns": int(elapsed_s * 1e9)}
    return {name: str(count) for name, count in counts.items()}


@contextmanager
def _refusing() -> Iterator[None]:
    """Say in our word what the engine says no with: a RuntimeError with ClickHouse's text."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        code = _CODE.search(text)
        if code is None:
            raise refused(UNKNOWN_EXCEPTION, text or "the engine did not say why", "UNKNOWN_EXCEPTION") from error
        raise Refused(int(code[1]), text[code.start() :]) from error


def _escaped(text: str) -> str:
    r"""As the value of a parameter is read.

    >>> _escaped("a\tb\\")
    'a\\tb\\\\'
    """
    return text.translate({ord("\\"): r"\\", ord("\t"): r"\t", ord("\n"): r"\n", ord("\r"): r"\r"})


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
