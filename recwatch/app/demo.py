"""`recwatch demo`: starts a recommender, its load and the monitor, and lets the story run."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from rich.console import Console

from recwatch.app.cast import Cast, Inbox
from recwatch.app.children import free_port
from recwatch.app.config import Config, parse_config
from recwatch.app.patient import Patient
from recwatch.app.pipeline import Pipeline
from recwatch.app.report import Teller, write_report
from recwatch.app.roles.console import ConsoleChild
from recwatch.app.story import OBJECTIVE_P99_MS, SCENARIOS, SERVICE, Story
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import Unavailable

PATIENT_READY_S = 60.0


def run_demo(fault: str, *, once: bool, json_path: Path | None, seed: int, out: Console) -> bool:
    """Run the story of `fault`; whether it ended as it should. Unless `once`, stay up afterwards until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        watching = ExitStack()
        cast = _assembled(stack, watching, None if once else free_port(), seed, out)
        story = Story(SCENARIOS[fault], cast, Teller(out), person=sys.stdin.isatty() and not once)
        reached = story.tell()
        if once:
            watching.close()
        report = story.report()
        if json_path is not None:
            write_report(report, json_path)
        story.teller.summary(report, {} if once else cast.addresses)
        if not once:
            story.stay_up()
    return reached


def _assembled(stack: ExitStack, watching: ExitStack, console_port: int | None, seed: int, out: Console) -> Cast:
    """Everyone who takes part, not yet at work. `stack` ends them all; `watching`, a part of it, the monitor alone."""
    clock = SystemClock()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recwatch-demo-")))
    patient = Patient(seed)
    stack.callback(patient.stop)
    config = _config(patient.url, _await_device(patient, clock, out), folder, console_port)
    inbox = Inbox(out, clock)
    pipeline = Pipeline(config, clock, {"demo": inbox})
    stack.enter_context(watching).callback(pipeline.stop)
    console = None
    addresses = {"API": pipeline.url, "metrics": f"{pipeline.url}/metrics", "recommender": patient.url}
    if config.console is not None:
        console = stack.enter_context(ConsoleChild(config.console, pipeline.url, config.token_file))
        stack.callback(console.ask_to_stop)
        addresses = {"console": console.url, **addresses}
    stack.callback(patient.ask_to_stop)
    return Cast(patient, pipeline, inbox, console, addresses)


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


def _config(patient_url: str, device: str, folder: Path, console_port: int | None) -> Config:
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
    content = {
        "store": f"chdb://{folder}/store",
        "spool": {"folder": f"{folder}/spool"},
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None if console_port is None else {"port": console_port},
        "services": [service],
    }
    return parse_config(content, "the demo's configuration")
