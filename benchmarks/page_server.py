"""A page of metrics whose values grow, served on loopback by a process of its own: only its reader's CPU is ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any

from prometheus_client import Histogram

from benchmarks.child import child
from recommender_ref.knobs import Knobs
from recommender_ref.metrics import LATENCY_BUCKETS, Metrics

FURTHER_HISTOGRAMS = 3


@contextmanager
def served_page() -> Iterator[str]:
    """The URL of the reference recommender's page, some histograms longer; every answer differs from the last."""
    with child(_serve) as line:
        yield f"http://127.0.0.1:{line.recv()}/metrics"


def _serve(port_to: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler()) as server:
        port_to.send(server.server_port)
        server.serve_forever()


def _handler() -> type[BaseHTTPRequestHandler]:
    metrics = Metrics(lambda: 2.0, lambda: 2.0, lambda: 0.93)
    metrics.show(Knobs())
    further = [
        Histogram(f"shop_{number}_seconds", "Time.", buckets=LATENCY_BUCKETS, registry=metrics.registry)
        for number in range(FURTHER_HISTOGRAMS)
    ]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            metrics.ok.inc(110)
            metrics.busy.labels("0").inc(0.4)
            for histogram in (metrics.request, metrics.queue, metrics.batch, *metrics.stages.values(), *further):
                for seconds in (0.004, 0.011, 0.023, 0.08):
                    histogram.observe(seconds)
            body = metrics.page()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    return Handler
