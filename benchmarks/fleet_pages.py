"""A fleet of model servers and GPU exporters, a port each, served on loopback by a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.child import child
from recommender_ref.metrics import LATENCY_BUCKETS

SERIES = 1_000
"""On every page."""
GPUS = 8
_GPU_FIELDS = {
    "GR_ENGINE_ACTIVE": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    **{name: f"DCGM_FI_DEV_{name}" for name in ("GPU_UTIL", "FB_USED", "SM_CLOCK", "POWER_USAGE", "GPU_TEMP")},
    **{name: f"DCGM_FI_DEV_{name}_VIOLATION" for name in ("THERMAL", "POWER", "BOARD_LIMIT", "SYNC_BOOST")},
}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %d\r\n\r\n"


class FleetPage:
    """A page of `SERIES` series with four labels each; all values are other ones at every answer, and counters count up."""

    def __init__(self, number: int) -> None:
        rows = (_gpu_rows if number % 4 == 3 else _server_rows)(number)
        rows += _application_rows(number, SERIES - sum(not row.startswith("#") for row in rows))
        self._text = "\n".join(rows) + "\n"
        random = np.random.default_rng(number)
        self._begin = random.integers(1, 10**6, SERIES)
        self._step = random.integers(1, 500, SERIES)
        self._answers = 0

    def body(self) -> bytes:
        self._answers += 1
        return (self._text % tuple((self._begin + self._answers * self._step).tolist())).encode()


def _server_rows(number: int) -> list[str]:
    """What the normaliser of the reference recommender knows, of a server behind one pod."""
    labels = f'pod="ranker-7f9c4d-{number:03}",zone="eu-1",tier="gold"'
    rows = ["# HELP recommender_requests_total Requests.", "# TYPE recommender_requests_total counter"]
    rows += [f'recommender_requests_total{{outcome="{outcome}",{labels}}} %d' for outcome in ("ok", "shed", "error")]
    for stage in ("request", "queue", "batch", "recall", "rank", "rerank"):
        name = f"recommender_{stage}_seconds"
        rows += [f"# HELP {name} Time.", f"# TYPE {name} histogram"]
        rows += [f'{name}_bucket{{le="{le}",{labels}}} %d' for le in (*LATENCY_BUCKETS, "+Inf")]
        rows += [f"{name}_sum{{{labels}}} %d.25", f"{name}_count{{{labels}}} %d"]
    return rows


def _gpu_rows(number: int) -> list[str]:
    rows = []
    for name in _GPU_FIELDS.values():
        rows += [f"# HELP {name} Of the GPU.", f"# TYPE {name} gauge"]
        rows += [
            f'{name}{{gpu="{gpu}",UUID="GPU-{number:03}-{gpu}",device="nvidia{gpu}",modelName="H100"}} %d'
            for gpu in range(GPUS)
        ]
    return rows


def _application_rows(number: int, count: int) -> list[str]:
    """What no normaliser knows: histograms of 14 buckets for three fifths, counters and gauges for a fifth each."""
    rows: list[str] = []
    labels = f'pod="ranker-7f9c4d-{number:03}",zone="eu-1"'
    for index in range(count):
        family, member = divmod(index, 20)
        if member == 0:
            rows += [f"# HELP shop_work_{family}_seconds Time.", f"# TYPE shop_work_{family}_seconds histogram"]
        if member < 12:
            rows.append(f'shop_work_{family}_seconds_bucket{{le="{0.001 * 2**member:g}",route="/v1/{family}",{labels}}} %d')
        elif member < 16:
            rows.append(f'shop_calls_{family}_total{{method="m{member}",code="200",{labels}}} %d')
        else:
            rows.append(f'shop_level_{family}{{queue="q{member}",shard="{family}",{labels}}} 0.%d')
    return rows


@contextmanager
def served_fleet(targets: int) -> Iterator[Sequence[str]]:
    """The addresses of so many pages."""
    with child(_serve, targets) as line:
        yield [f"http://127.0.0.1:{port}/metrics" for port in line.recv()]


def _serve(targets: int, ports_to: Connection) -> None:
    asyncio.run(_serve_all([FleetPage(number) for number in range(targets)], ports_to))


def _answering(page: FleetPage) -> Callable[[], asyncio.Protocol]:
    return lambda: _Answers(page)


async def _serve_all(pages: Sequence[FleetPage], ports_to: Connection) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_answering(page), "127.0.0.1", 0) for page in pages]
    ports_to.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.Event().wait()


class _Answers(asyncio.Protocol):
    """Answers every request with the page; what is asked makes no difference."""

    def __init__(self, page: FleetPage) -> None:
        self._page = page

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the base class names it so
        body = self._page.body()
        self._transport.write(_HEAD % len(body) + body)  # type: ignore[attr-defined]
