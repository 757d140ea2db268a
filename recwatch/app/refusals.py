"""What went wrong with a request → the API's answer: a status, and what is wrong in a sentence for each fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from recwatch.core.errors import BadInput, Unavailable
from recwatch.core.faults import sentences


def answer_failures(api: FastAPI) -> None:
    """Have `api` answer 422 to a request of another form than it reads, 400 to BadInput, and 503 to Unavailable."""
    api.add_exception_handler(RequestValidationError, _malformed)
    api.add_exception_handler(BadInput, _bad_input)
    api.add_exception_handler(Unavailable, _unavailable)


def _malformed(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    body = get_type_hints(request.scope["endpoint"]).get("body", BaseModel)
    return JSONResponse({"detail": "\n".join(_told(faults, body))}, 422)


def _told(faults: Sequence[Any], body: type[BaseModel]) -> Iterator[str]:
    """A sentence for each fault, which begins with the part of the request that it is in: its path, query or body."""
    for part in dict.fromkeys(fault["loc"][0] for fault in faults):
        inside: list[Any] = [{**fault, "loc": fault["loc"][1:]} for fault in faults if fault["loc"][0] == part]
        yield from (f"In the {part} of the request, {sentence}." for sentence in sentences(inside, body))


def _bad_input(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 400)


def _unavailable(_: Request, error: Exception) -> JSONResponse:
    retry_after_s = error.retry_after_s if isinstance(error, Unavailable) else 1.0
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(max(1, round(retry_after_s)))})
