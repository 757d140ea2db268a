"""The reference recommender and its load, as child processes that are reached over HTTP only."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import httpx

from recwatch.app.children import Child
from recwatch.app.ports import free_port
from recwatch.core.errors import Unavailable

RATE_PER_SECOND = 110.0
LOAD_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What the recommender says of a fault it was told to have. Times are unix seconds."""

    name: str
    started_at: float
    ends_at: float
    cause: str


class Patient:
    """A recommender under load on loopback. `url` is where it answers once `device` is known.

    Its model runs on a GPU if there is one, unless `on` is `cpu`.
    """

    def __init__(self, seed: int, on: Literal["auto", "cpu"] = "auto") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._http = httpx.Client(base_url=self.url, timeout=5.0, trust_env=False)
        port = self.url.rpartition(":")[2]
        self.server = Child("the recommender", [*_recommender("serve"), "--port", port, "--seed", str(seed), "--device", on])
        self._load: Child | None = None
        self._seed = seed

    def device(self) -> str | None:
        """What its model runs on, `cuda` or `cpu`; None before it answers. Raises Unavailable when its process has ended."""
        self.server.require_running()
        try:
            answer = self._http.get("/health")
        except httpx.TransportError:
            return None
        return str(answer.json()["device"]).partition(":")[0] if answer.is_success else None

    def start_load(self) -> None:
        """Send requests at their intended times whether or not earlier ones have been answered."""
        arguments = ["--url", self.url, "--rate", str(RATE_PER_SECOND), "--duration", str(LOAD_SECONDS)]
        self._load = Child("the load generator", [*_recommender("load"), *arguments, "--seed", str(self._seed)])

    def require_running(self) -> None:
        """Raise Unavailable when one of its processes has ended."""
        self.server.require_running()
        if self._load is not None:
            self._load.require_running()

    def start_fault(self, name: str, duration_s: float) -> Fault:
        """Start a fault now; it ends by itself."""
        body = {"name": name, "start_in_s": 0.0, "duration_s": duration_s}
        try:
            answer = self._http.post("/faults", json=body).raise_for_status().json()
        except httpx.HTTPError as error:
            raise Unavailable(f"The recommender at {self.url} did not take the fault '{name}': {error}") from error
        return Fault(answer["name"], float(answer["started_at"]), float(answer["ends_at"]), answer["cause"])

    def ask_to_stop(self) -> None:
        """Ask both processes to end, without waiting."""
        if self._load is not None:
            self._load.ask_to_stop()
        self.server.ask_to_stop()

    def stop(self) -> None:
        """End both processes."""
        self.ask_to_stop()
        self._http.close()
        if self._load is not None:
            self._load.stop()
        self.server.stop()


def _recommender(command: str) -> list[str]:
    return [sys.executable, "-m", "recommender_ref", command]
