"""The route on which a Prometheus sends what it scrapes: its `remote_write` URL ends in `/api/v1/write`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, HTTPException, Request, Response

from collectors.receive import RESENT_MS, Publish, Receiver
from collectors.remote_write import REQUEST_BYTES
from recwatch.app.access import keep_token
from recwatch.app.config import Config
from recwatch.core.clock import Clock
from recwatch.core.store.database import Store

WRITE_PATH = "/api/v1/write"
# Whoever looks at recwatch is answered while the bus is full and requests wait for it.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Receiving:
    """What takes requests in, and the token of those who may send them."""

    receiver: Receiver
    token: str


def newest_received(config: Config, clock: Clock, store: Store) -> dict[int, int]:
    """The time of the newest stored sample of every series that was received lately, by id."""
    since_ms = clock.now_ms() - RESENT_MS
    received = [service.name for service in config.services if service.receive]
    return {i: time_ms for service in received for i, time_ms in store.newest(service, since_ms).items()}


def receiving_of(config: Config, clock: Clock, publish: Publish, stored: Mapping[int, int]) -> Receiving | None:
    """What takes in the services that are received, going on from the newest samples `stored`; None without any."""
    services = [service for service in config.services if service.receive]
    if not services:
        return None
    return Receiving(Receiver(services, clock, publish, stored), keep_token(config.receive_token_file, shared=True))


def write_routes(receiver: Receiver) -> APIRouter:
    """The route. It answers 204 once everything is on the bus, and 400 to what is malformed and must not be sent again.

    503 asks for the same request again; 429 would not, for Prometheus does not resend after it unless told to.
    """
    routes = APIRouter(tags=["writes"])
    at_once = CapacityLimiter(AT_ONCE)

    @routes.post(WRITE_PATH, status_code=204, summary="Prometheus's remote write, version 1.0")
    async def write(request: Request) -> Response:
        if request.headers.get("content-encoding") != "snappy":
            raise HTTPException(415, "The body must be Snappy-compressed, with 'Content-Encoding: snappy'.")
        if "v2" in request.headers.get("content-type", ""):
            raise HTTPException(415, "This is version 1.0 of remote write: send prometheus.WriteRequest.")
        body = await _body(request)
        await to_thread.run_sync(receiver.write, body, limiter=at_once)
        return Response(status_code=204)

    return routes


async def _body(request: Request) -> bytes:
    """The whole body; reading stops where it is larger than any that is small enough when unpacked."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > REQUEST_BYTES:
            raise HTTPException(413, f"The body is larger than {REQUEST_BYTES} bytes; send fewer samples at once.")
    return bytes(body)
