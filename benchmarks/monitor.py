"""`recwatch up` as a child that can be paused, and what it takes from the machine."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from recwatch.app.children import Child
from recwatch.app.config import ConsoleConfig
from recwatch.app.ports import free_port
from recwatch.app.roles.console import ConsoleChild
from recwatch.client import Client
from recwatch.core.errors import Unavailable

MB = 1e6
PAGE_S = 30.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MB of 10⁶ bytes, shared pages among it; `files_mb` of both are pages of files, libraries mostly."""

    recwatch_mb: float
    console_mb: float
    files_mb: float


class Monitor:
    """recwatch over the recommender at `url` on `device`, scraping it every second; it runs within `watching` only."""

    def __init__(self, url: str, device: str, folder: Path) -> None:
        self._token_file = folder / "token"
        self._api = f"http://127.0.0.1:{free_port()}"
        self._client = Client(self._api)
        file = folder / "recwatch.yaml"
        file.write_text(json.dumps(monitor_config(url, device, self._api, folder)), encoding="utf-8")
        self._child = Child("recwatch", [str(Path(sys.executable).with_name("recwatch")), "up", str(file)])
        self._process = psutil.Process(self._child.pid)
        self._cpu_s = self._watched_s = 0.0
        self._signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._signal(signal.SIGCONT)
        self._client.close()
        self._child.stop()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let it run for a while; the CPU time it takes meanwhile counts."""
        cpu_s, began_s = self._cpu(), time.monotonic()
        self._signal(signal.SIGCONT)
        yield
        self._child.require_running()
        self._signal(signal.SIGSTOP)
        self._cpu_s += self._cpu() - cpu_s
        self._watched_s += time.monotonic() - began_s

    def answering(self) -> bool:
        """Whether its API answers. Raises Unavailable when it has ended."""
        self._child.require_running()
        try:
            self._client.services()
        except Unavailable:
            return False
        return True

    def forget_cpu(self) -> None:
        """Count from here: what came before was its start."""
        self._cpu_s = self._watched_s = 0.0

    @property
    def cpu_s(self) -> float:
        """CPU time that it took while it watched, in seconds."""
        return self._cpu_s

    @property
    def cpu_ratio(self) -> float:
        """CPU time over the time for which it watched; 1 is a whole core."""
        return self._cpu_s / self._watched_s

    def memory_with_console(self) -> Memory:
        """Start a console too, open its page, and say what both hold once it is drawn."""
        with ConsoleChild(ConsoleConfig(port=0), self._api, self._token_file) as console:
            _open_page(console)
            recwatch, its_console = self._process, psutil.Process(console.pid)
            files_mb = sum(_megabytes(process, "shared") for process in (recwatch, its_console))
            return Memory(_megabytes(recwatch, "rss"), _megabytes(its_console, "rss"), files_mb)

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _signal(self, number: signal.Signals) -> None:
        if self._child.running():
            os.kill(self._child.pid, number)


def monitor_config(url: str, device: str, api: str, folder: Path) -> dict[str, object]:
    """The demo's configuration, without a console."""
    service = {
        "name": "recommender",
        "targets": [f"{url}/metrics", *([] if device == "cuda" else [f"{url}/gpu/metrics"])],
        "host": True,
        "nvml": device == "cuda",
        "scrape_interval": "1s",
        "objective": {"latency_p99": "150ms"},
        "tuning": {"actuator": {"kind": "http_knobs", "url": f"{url}/knobs"}},
    }
    return {
        "store": f"chdb://{folder}/store",
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "api": {"port": int(api.rpartition(":")[2])},
        "console": None,
        "services": [service],
    }


def _open_page(console: ConsoleChild) -> None:
    """Ask for the page as a browser does, and wait until it is drawn: the console loads most of itself only then."""
    # Streamlit takes a second to import, which other benchmarks do without.
    from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: PLC0415
    from streamlit.proto.ClientState_pb2 import ClientState  # noqa: PLC0415
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: PLC0415
    from websockets.exceptions import WebSocketException  # noqa: PLC0415
    from websockets.sync.client import connect  # noqa: PLC0415
    from websockets.typing import Subprotocol  # noqa: PLC0415

    address = console.url.replace("http", "ws", 1) + "/_stcore/stream"
    ends_s = time.monotonic() + PAGE_S
    drawn = False
    while not drawn:
        console.require_running()
        try:
            with connect(address, subprotocols=[Subprotocol("streamlit")], proxy=None) as page:
                page.send(BackMsg(rerun_script=ClientState()).SerializeToString())
                while not drawn:
                    told = ForwardMsg.FromString(page.recv(PAGE_S, decode=False))
                    drawn = told.WhichOneof("type") == "script_finished"
        except (OSError, WebSocketException) as error:
            if time.monotonic() > ends_s:
                raise Unavailable(f"The console at {console.url} did not draw its page: {error}") from error
            time.sleep(0.5)


def _megabytes(process: psutil.Process, kind: str) -> float:
    """Of the process and all its children."""
    return sum(float(getattr(one.memory_info(), kind)) for one in (process, *process.children(recursive=True))) / MB
