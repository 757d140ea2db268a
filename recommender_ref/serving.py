"""The recommender over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from recommender_ref.batching import QueueFull
from recommender_ref.faults import BadFault, Fault
from recommender_ref.gpu import exposition
from recommender_ref.knobs import BadKnob
from recommender_ref.model import LISTED
from recommender_ref.service import Recommender, UnknownUser

TEXT = "text/plain; version=0.0.4; charset=utf-8"
BEAT_S = 0.25


class RecommendRequest(BaseModel):
    """Who asks, and for how many items."""

    model_config = ConfigDict(extra="forbid")
    user_id: int
    k: int = Field(default=10, ge=1, le=LISTED)


class Item(BaseModel):
    """A recommended item."""

    item_id: int
    score: float


class Recommendation(BaseModel):
    """Items, best first, and the model version that ranked them."""

    items: list[Item]
    model_version: str


class FaultRequest(BaseModel):
    """A fault to start; `factor` is the kind's own measure, its default if left out."""

    model_config = ConfigDict(extra="forbid")
    name: str
    start_in_s: float = Field(default=0.0, ge=0.0, le=3600.0)
    duration_s: float = Field(default=90.0, gt=0.0, le=3600.0)
    factor: float | None = None


class FaultState(BaseModel):
    """A fault; times are unix seconds."""

    name: str
    state: str
    cause: str
    started_at: float
    ends_at: float
    factor: float | None

    @classmethod
    def of(cls, fault: Fault) -> FaultState:
        return cls(**asdict(fault), cause=fault.cause, state=fault.state(time.time()))


def create_app(recommender: Recommender) -> FastAPI:
    """The HTTP interface of a recommender, which it starts and stops."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        recommender.start()
        beating = asyncio.create_task(_beat(recommender))
        yield
        beating.cancel()
        await asyncio.to_thread(recommender.stop)

    app = FastAPI(title="recommender", lifespan=lifespan)
    _serve_answers(app, recommender)
    _serve_measurements(app, recommender)
    _serve_knobs(app, recommender)
    _serve_faults(app, recommender)
    return app


async def _beat(recommender: Recommender) -> None:
    while True:
        recommender.beat()
        await asyncio.sleep(BEAT_S)


def _serve_answers(app: FastAPI, recommender: Recommender) -> None:
    @app.post("/recommend")
    async def recommend(request: RecommendRequest) -> Recommendation:
        try:
            answer = await recommender.recommend(request.user_id, request.k)
        except UnknownUser as error:
            raise HTTPException(404, str(error)) from error
        except QueueFull as error:
            raise HTTPException(503, "Too many requests wait; try again in a second.", {"Retry-After": "1"}) from error
        except RuntimeError as error:
            raise HTTPException(500, f"The model failed: {error}.") from error
        items = [Item(item_id=item, score=score) for item, score in answer.items]
        return Recommendation(items=items, model_version=answer.version)

    @app.get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok", "device": str(recommender.model.device), "users": recommender.world.users}


def _serve_measurements(app: FastAPI, recommender: Recommender) -> None:
    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(recommender.metrics.page(), media_type=TEXT)

    @app.get("/gpu/metrics")
    async def gpu_metrics() -> Response:
        if recommender.model.on_gpu:
            raise HTTPException(404, "The model runs on a real GPU; read it through NVML or DCGM exporter.")
        recommender.beat()
        used_mib = recommender.model.weight_bytes / 2**20
        return Response(exposition(recommender.gpu, used_mib, platform.node()), media_type=TEXT)


def _serve_knobs(app: FastAPI, recommender: Recommender) -> None:
    @app.get("/knobs")
    async def knobs() -> dict[str, dict[str, object]]:
        return recommender.knobs.described()

    @app.patch("/knobs")
    async def patch_knobs(changes: Annotated[dict[str, object], Body()]) -> dict[str, dict[str, object]]:
        try:
            recommender.patch(changes)
        except BadKnob as error:
            raise HTTPException(422, str(error)) from error
        return recommender.knobs.described()


def _serve_faults(app: FastAPI, recommender: Recommender) -> None:
    def told(change: Callable[[], Fault]) -> FaultState:
        try:
            return FaultState.of(change())
        except BadFault as error:
            raise HTTPException(422, str(error)) from error

    @app.get("/faults")
    async def faults() -> list[FaultState]:
        return [FaultState.of(fault) for fault in recommender.faults.all()]

    @app.post("/faults")
    async def start_fault(wanted: FaultRequest) -> FaultState:
        return told(lambda: recommender.begin_fault(wanted.name, wanted.start_in_s, wanted.duration_s, wanted.factor))

    @app.delete("/faults/{name}")
    async def end_fault(name: str) -> FaultState:
        return told(lambda: recommender.end_fault(name))


class _Server(uvicorn.Server):
    """uvicorn that says when it is ready, and ends on a signal instead of raising it again."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def serve(recommender: Recommender, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGINT or SIGTERM; `ready` is called once requests are taken."""
    config = uvicorn.Config(create_app(recommender), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    _Server(config, ready).run(sockets=[listening])
