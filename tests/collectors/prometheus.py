"""A real Prometheus on the loopback interface, over a folder of its own, that can be stopped and started again."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from cluster.ports import free_ports
from tests.conftest import require

Rows = dict[int, float]


class Prometheus:
    """Scrapes as `scrape_configs` says; skips the test where Prometheus is not installed."""

    def __init__(self, folder: Path, scrape_configs: Sequence[Mapping[str, Any]], interval: str, **more: Any) -> None:
        program = shutil.which("prometheus")
        require("prometheus", program is not None, "the program 'prometheus' is not on the path")
        folder.mkdir(exist_ok=True)
        content = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": list(scrape_configs),
            **more,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(content))
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._command = [
            str(program),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.url, trust_env=False)

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def stop(self) -> None:
        """Ask it to end, and wait until it has: it sends first what is waiting to be sent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30.0)
            self._process = None

    def answers(self) -> bool:
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def stored(self, selector: str, past: str = "1h") -> dict[str, Rows]:
        """Every sample of the selected series, as it is stored, without those that are NaN or stale markers."""
        answer = self.http.get("/api/v1/query", params={"query": f"{selector}[{past}]"}).json()
        assert answer["status"] == "success", answer
        return {
            key_of(found["metric"]): {
                round(at_s * 1000): float(value) for at_s, value in found["values"] if math.isfinite(float(value))
            }
            for found in answer["data"]["result"]
        }

    def sent_until_s(self) -> float:
        """The unix time of the newest sample that its remote write has sent and got acknowledged; 0 before the first."""
        name = "prometheus_remote_storage_queue_highest_sent_timestamp_seconds"
        found = [row for row in self.http.get("/metrics").text.splitlines() if row.startswith(name)]
        return max((float(row.rpartition(" ")[2]) for row in found), default=0.0)

    def __enter__(self) -> Prometheus:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.http.close()


def key_of(labels: Mapping[str, str]) -> str:
    """A series as one text, whoever names it."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
