"""A stand-in for a Prometheus of some age: answers `query_range`, in a process of its own, by a formula."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs

from benchmarks.child import child
from recommender_ref.metrics import LATENCY_BUCKETS

DAY_S = 86_400.0
MEAN_RPS = 100.0
DAILY_SHARE = 0.5
"""Traffic goes up and down by this much of its mean in the course of a day."""

Labels = Mapping[str, str]


def requests_until(at_s: float) -> float:
    """Requests of a target since 1970: the integral of a rate that follows a sine of a day."""
    turn = 2 * math.pi / DAY_S
    return MEAN_RPS * (at_s - DAILY_SHARE / turn * math.cos(turn * at_s))


def all_series(targets: int, of_each: int) -> list[tuple[Labels, float]]:
    """The series of so many recommenders, some of another kind among them, and what each counts per request."""
    found: list[tuple[Labels, float]] = []
    for target in range(targets):
        where = {"job": "shop", "instance": f"10.0.0.{target}:8000"}
        own = [({"__name__": "recommender_requests_total", "outcome": "ok"}, 1.0)]
        own += [({"__name__": "recommender_requests_total", "outcome": "error"}, 0.001)]
        own += [
            ({"__name__": "recommender_request_seconds_bucket", "le": "+Inf" if le == math.inf else repr(le)}, 1 - 0.5**at)
            for at, le in enumerate(LATENCY_BUCKETS, start=1)
        ]
        own += [({"__name__": "recommender_request_seconds_bucket", "le": "+Inf"}, 1.0)]
        own += [
            ({"__name__": "recommender_request_seconds_sum"}, 0.02),
            ({"__name__": "recommender_request_seconds_count"}, 1.0),
        ]
        own += [({"__name__": "shop_items_total", "shelf": str(shelf)}, 1.0 + shelf) for shelf in range(of_each - len(own))]
        found += [({**labels, **where}, share) for labels, share in own]
    return found


def answer(targets: int, of_each: int, asked: Mapping[str, float]) -> bytes:
    """The whole of it as a matrix."""
    start, end, step = asked["start"], asked["end"], asked["step"]
    times = [start + step * number for number in range(round((end - start) / step) + 1)]
    counted = [requests_until(at_s) for at_s in times]
    result = [
        {"metric": labels, "values": [[at_s, f"{share * count:.6g}"] for at_s, count in zip(times, counted, strict=True)]}
        for labels, share in all_series(targets, of_each)
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


@contextmanager
def served_history(targets: int, of_each: int) -> Iterator[str]:
    """The URL of its API."""
    with child(_serve, targets, of_each) as line:
        yield f"http://127.0.0.1:{line.recv()}"


def _serve(targets: int, of_each: int, port_to: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = answer(targets, of_each, {name: float(form[name][0]) for name in ("start", "end", "step")})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port_to.send(server.server_port)
        server.serve_forever()
