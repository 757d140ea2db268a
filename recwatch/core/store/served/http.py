"""The embedded engine behind ClickHouse's HTTP protocol: an adapter for local processes, not a database server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hmac import compare_digest

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from recwatch.core.store.served.engine import Answer, Engine, Question, Refused, refused
from recwatch.core.store.served.native import of_revision
from recwatch.core.store.served.wire import Asked, TooLarge, asked_of, credentials_of, encoded, status_of

READS_AT_ONCE, WRITES_AT_ONCE = 4, 4
LARGEST_READ_BYTES, LARGEST_WRITE_BYTES = 2 * 2**20, 512 * 2**20
"""Of a body, compressed and not."""

# What clients may set; anything else is passed over. The engine refuses every setting of a query that only reads.
READ_SETTINGS = frozenset(
    {"date_time_output_format", "output_format_arrow_string_as_string", "output_format_json_quote_64bit_integers"}
)
WRITE_SETTINGS = READ_SETTINGS | {
    "async_insert",
    "date_time_input_format",
    "deduplicate_blocks_in_dependent_materialized_views",
    "insert_deduplication_token",
    "max_execution_time",
    "max_memory_usage",
    "optimize_on_insert",
}
_BEFORE = rb"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
_GIVES_ROWS = re.compile(_BEFORE + rb"(?:SELECT|WITH|FROM|SHOW|DESC|DESCRIBE|EXISTS|EXPLAIN)\b", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)[\s;]*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class User:
    """Who may ask. One that `writes` may do all that the process may, its files included; the others see tables only."""

    name: str
    password: str
    writes: bool = False


class Served:
    """Answers over HTTP what users ask the engine; `app` is the ASGI application. Users have names of their own."""

    def __init__(self, engine: Engine, users: Sequence[User]) -> None:
        self._engine = engine
        self._users = {user.name: user for user in users}
        self._reads, self._writes = CapacityLimiter(READS_AT_ONCE), CapacityLimiter(WRITES_AT_ONCE)
        self.app = Starlette(routes=[Route("/ping", _ping), Route("/", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        try:
            user = self._user_of(request.headers)
            writes = user.writes and request.method == "POST"  # as with ClickHouse, a GET changes nothing
            asked = await asked_of(request, LARGEST_WRITE_BYTES if writes else LARGEST_READ_BYTES)
            if not asked.sql.strip():
                return await _ping(request)
            limiter = self._writes if writes and not _GIVES_ROWS.match(asked.sql) else self._reads
            return await to_thread.run_sync(partial(self._response, asked, writes, request.headers), limiter=limiter)
        except TooLarge as error:
            return self._failure(refused(307, str(error), "TOO_MANY_BYTES"))
        except Refused as error:
            return self._failure(error)

    def _user_of(self, headers: Mapping[str, str]) -> User:
        name, password = credentials_of(headers)
        user = self._users.get(name)
        if not compare_digest(password.encode(), (user.password if user else "").encode()) or not (user and user.password):
            raise refused(516, f"{name}: Authentication failed: no such user, or another password", "AUTHENTICATION_FAILED")
        return user

    def _response(self, asked: Asked, writes: bool, headers: Mapping[str, str]) -> Response:
        allowed = WRITE_SETTINGS if writes else READ_SETTINGS
        settings = {name: value for name, value in asked.settings.items() if name in allowed}
        embedded = _FORMAT.search(asked.sql) if _GIVES_ROWS.match(asked.sql) else None
        output = embedded[1].decode() if embedded else asked.format or "TabSeparated"
        question = Question(asked.sql, output, asked.parameters, settings, asked.database)
        answer = self._engine.answer(question) if writes else self._engine.show(question)
        body = of_revision(answer.body, asked.revision) if output == "Native" else answer.body
        body, encoding = encoded(body, headers.get("accept-encoding", ""))
        return Response(body, headers=self._headers(answer, output if _GIVES_ROWS.match(asked.sql) else "") | encoding)

    def _headers(self, answer: Answer, output: str) -> dict[str, str]:
        told = {
            "X-ClickHouse-Summary": json.dumps(answer.summary),
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.name,
        }
        if output:
            told["X-ClickHouse-Format"] = output
            told["Content-Type"] = "application/json" if output.startswith("JSON") else "application/octet-stream"
        return told

    @staticmethod
    def _failure(error: Refused) -> Response:
        return PlainTextResponse(f"{error}\n", status_of(error.code), {"X-ClickHouse-Exception-Code": str(error.code)})


async def _ping(_: Request) -> Response:
    return PlainTextResponse("Ok.\n")
