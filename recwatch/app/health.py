"""What every process answers to whoever looks after it: whether it lives, whether it can work, and its own metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import token_urlsafe

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from recwatch.app.access import Guard
from recwatch.app.refusals import answer_failures
from recwatch.app.remote_write import WRITE_PATH, Receiving, write_routes


@dataclass(frozen=True, slots=True)
class Health:
    """How a process is. `died_of` is empty while all its threads live, and `lacks` while nothing keeps it from its work."""

    registry: CollectorRegistry
    died_of: Callable[[], str]
    lacks: Callable[[], Sequence[str]]


def health_routes(health: Health) -> APIRouter:
    """The routes that orchestrators and Prometheus ask."""
    routes = APIRouter()

    @routes.get("/healthz", summary="Whether the process lives: no thread of it has died")
    def healthz() -> dict[str, str]:
        if died_of := health.died_of():
            raise HTTPException(503, died_of)
        return {"status": "ok"}

    @routes.get("/readyz", summary="Whether the process can do its work: it reaches what it needs, and takes part")
    def readyz() -> dict[str, str]:
        if lacks := health.lacks():
            raise HTTPException(503, "\n".join(lacks))
        return {"status": "ready"}

    @routes.get("/metrics", summary="recwatch's own metrics and the canonical signals, for Prometheus")
    def metrics() -> Response:
        return Response(generate_latest(health.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def health_app(health: Health, receiving: Receiving | None) -> FastAPI:
    """What a process without the API answers. With `receiving`, a Prometheus may send it what it scrapes."""
    app = FastAPI(title="recwatch", docs_url=None, redoc_url=None)
    app.include_router(health_routes(health))
    tokens = {}
    if receiving is not None:
        app.include_router(write_routes(receiving.receiver))
        tokens[WRITE_PATH] = receiving.token
    answer_failures(app)
    app.add_middleware(Guard, token=token_urlsafe(), tokens=tokens)
    return app
