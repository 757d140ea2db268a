"""What is watched in a fault run: services that number their pages, and know which of them they served whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from recwatch.core.clock import Clock

NUMBER = "page_number"
REQUESTS_PER_S = 200
FAILING_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was served whole, and when (unix time)."""

    service: str
    number: int
    time_ms: int


class Source:
    """Serves the pages of `services` on a free loopback port until `close`: a Triton each, all of whose requests succeed.

    Each page has the number after the last one's in `NUMBER`, so that what is stored can be compared with `served`.
    """

    def __init__(self, services: Sequence[str], clock: Clock) -> None:
        self.services = services
        self._clock = clock
        self._began_ms = clock.now_ms()
        self._fails_since_ms: dict[str, int] = {}
        self._numbers: Counter[str] = Counter()
        self._served: list[Page] = []
        self._lock = Lock()
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service = self.path.strip("/")
                number, body = source.page(service)
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                source.note(service, number)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as http.server names it)
                """Say nothing of each request."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, name="source", daemon=True)
        self._thread.start()

    @property
    def served(self) -> Sequence[Page]:
        with self._lock:
            return list(self._served)

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{service}"

    def fail(self, service: str) -> None:
        """Let a share of its requests fail from now on."""
        self._fails_since_ms[service] = self._clock.now_ms()

    def last(self, service: str) -> int:
        """The number of the last page that was asked for; 0 before the first."""
        return self._numbers[service]

    def page(self, service: str) -> tuple[int, bytes]:
        """The next page of a service, and its number."""
        now_ms = self._clock.now_ms()
        failing_s = max(0, now_ms - self._fails_since_ms.get(service, now_ms)) / 1000
        failed = round(REQUESTS_PER_S * FAILING_SHARE * failing_s)
        counts = {"success": round(REQUESTS_PER_S * (now_ms - self._began_ms) / 1000) - failed, "failure": failed}
        with self._lock:
            self._numbers[service] += 1
            number = self._numbers[service]
        families = [f"# TYPE {NUMBER} gauge\n{NUMBER} {number}\n"]
        families += [
            f"# TYPE nv_inference_request_{outcome} counter\n"
            f'nv_inference_request_{outcome}{{model="ranker",version="1"}} {count}\n'
            for outcome, count in counts.items()
        ]
        return number, "".join(families).encode()

    def note(self, service: str, number: int) -> None:
        """Remember that a page was served whole."""
        with self._lock:
            self._served.append(Page(service, number, self._clock.now_ms()))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asks may be killed meanwhile."""
