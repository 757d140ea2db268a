"""`recwatch demo`: starts a recommender, its load and the monitor, and lets the story run."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console

from recwatch.app.access import keep_token
from recwatch.app.cast import Cast, Inbox, Monitor
from recwatch.app.config import parse_config
from recwatch.app.patient import Patient
from recwatch.app.pipeline import Pipeline
from recwatch.app.ports import free_port
from recwatch.app.report import Counts, Teller, write_report
from recwatch.app.roles.console import ConsoleChild
from recwatch.app.story import OBJECTIVE_P99_MS, SCENARIOS, SERVICE, Story
from recwatch.client import Client
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import Unavailable

PATIENT_READY_S = 60.0
ANSWERS_S = 10.0

Content = Mapping[str, Any]
"""What a configuration file would hold."""
Hire = Callable[[Content, Path, Inbox], Monitor]
"""Makes a monitor, not yet at work, of a configuration without bus and store, a folder for its files, and the inbox."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for: the fault, whether a person is left out, where the figures go, and what makes runs alike."""

    fault: str
    once: bool
    json_path: Path | None
    seed: int


class OneProcess:
    """The embedded deployment: all roles in this process, but for the console, which is a child of it."""

    def __init__(self, content: Content, folder: Path, inbox: Inbox) -> None:
        config = parse_config({**content, "store": f"chdb://{folder}/store"}, "the demo's configuration")
        self._pipeline = Pipeline(config, SystemClock(), {"demo": inbox})
        self._console: ConsoleChild | None = None
        if config.console is not None:
            self._console = ConsoleChild(config.console, self._pipeline.url, config.token_file)

    @property
    def addresses(self) -> Mapping[str, str]:
        console = {} if self._console is None else {"console": self._console.url}
        return console | {"API": self._pipeline.url, "metrics": f"{self._pipeline.url}/metrics"}

    def start(self) -> None:
        self._pipeline.start()

    def check(self) -> None:
        self._pipeline.check()
        if self._console is not None:
            self._console.require_running()

    def stop(self) -> None:
        with ExitStack() as stack:
            if self._console is not None:
                self._console.ask_to_stop()
                stack.callback(self._console.stop)
            self._pipeline.stop()

    def counts(self) -> Counts:
        pipeline = self._pipeline
        return Counts(pipeline.samples_scraped(), pipeline.samples_stored(), pipeline.alerts_sent())


def run_demo(options: Options, out: Console, hire: Hire = OneProcess) -> bool:
    """Run the story of the fault; whether it ended as it should. Unless `once`, stay up afterwards until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        watching = ExitStack()
        cast = _assembled(stack, watching, options, out, hire)
        story = Story(SCENARIOS[options.fault], cast, Teller(out), person=sys.stdin.isatty() and not options.once)
        reached = story.tell()
        report = story.report()
        if options.once:
            watching.close()
        counts = cast.monitor.counts()
        if options.json_path is not None:
            write_report(report, counts, options.json_path)
        story.teller.summary(report, counts, {} if options.once else cast.addresses)
        if not options.once:
            with suppress(KeyboardInterrupt):  # which is how it is meant to end
                story.stay_up()
    return reached


def _assembled(stack: ExitStack, watching: ExitStack, options: Options, out: Console, hire: Hire) -> Cast:
    """Everyone who takes part, not yet at work. `stack` ends them all; `watching`, a part of it, the monitor alone."""
    clock = SystemClock()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recwatch-demo-")))
    patient = Patient(options.seed, SCENARIOS[options.fault].on)
    stack.callback(patient.stop)
    device = _await_device(patient, clock, out)
    content = _content(patient.url, device, folder, None if options.once else free_port())
    inbox = Inbox(out, clock)
    monitor = hire(content, folder, inbox)
    stack.enter_context(watching).callback(monitor.stop)
    token = keep_token(folder / "token")
    client = stack.enter_context(closing(Client(monitor.addresses["API"], token, ANSWERS_S)))
    stack.callback(patient.ask_to_stop)
    return Cast(patient, device, monitor, client, inbox)


def _await_device(patient: Patient, clock: Clock, out: Console) -> str:
    """What the recommender runs on, once it is ready."""
    until_s = clock.monotonic_s() + PATIENT_READY_S
    pause = Event()
    with out.status("the recommender builds its catalogue and models"):
        while (device := patient.device()) is None:
            if clock.monotonic_s() > until_s:
                raise Unavailable(f"The recommender at {patient.url} was not ready within {PATIENT_READY_S:.0f} s.")
            pause.wait(0.2)
    return device


def _content(patient_url: str, device: str, folder: Path, console_port: int | None) -> Content:
    """On a GPU its figures come from NVML; on a CPU from the recommender's emulated exporter."""
    emulated = [] if device == "cuda" else [f"{patient_url}/gpu/metrics"]
    service = {
        "name": SERVICE,
        "targets": [f"{patient_url}/metrics", *emulated],
        "host": True,
        "nvml": device == "cuda",
        "objective": {"latency_p99": f"{OBJECTIVE_P99_MS}ms"},
        "tuning": {"actuator": {"kind": "http_knobs", "url": f"{patient_url}/knobs"}},
    }
    return {
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None if console_port is None else {"port": console_port},
        "services": [service],
    }
