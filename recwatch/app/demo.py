"""`recwatch demo`: starts a recommender, its load and the monitor, and lets the story run."""

from __future__ import annotations

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from recwatch.app.children import free_port
from recwatch.app.config import Config, parse_config
from recwatch.app.patient import Patient
from recwatch.app.pipeline import Pipeline
from recwatch.app.report import Teller, write_report
from recwatch.app.story import SCENARIOS, SERVICE, Cast, Inbox, Story
from recwatch.app.up import ConsoleChild
from recwatch.core.clock import SystemClock


def run_demo(fault: str, *, once: bool, json_path: Path | None, seed: int, out: Console) -> bool:
    """Run the story of `fault`; whether it ended as it should. Unless `once`, stay up afterwards until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recwatch-demo-")))
        patient = Patient(seed)
        stack.callback(patient.stop)
        inbox = Inbox(out, SystemClock())
        config = _config(patient.url, folder, None if once else free_port())
        pipeline = Pipeline(config, SystemClock(), {"demo": inbox})
        stop = stack.enter_context(ExitStack())
        stop.callback(pipeline.stop)
        addresses = {"API": pipeline.url, "metrics": f"{pipeline.url}/metrics", "recommender": patient.url}
        if config.console is not None:
            console = stack.enter_context(ConsoleChild(config.console, pipeline.url, config.token_file))
            addresses = {"console": console.url, **addresses}
        person = sys.stdin.isatty() and not once
        story = Story(SCENARIOS[fault], Cast(patient, pipeline, inbox, addresses), Teller(out), person=person)
        reached = story.tell()
        if once:
            stop.close()
        report = story.report()
        if json_path is not None:
            write_report(report, json_path)
        story.teller.summary(report, {} if once else addresses)
        if not once:
            story.stay_up()
    return reached


def _config(patient_url: str, folder: Path, console_port: int | None) -> Config:
    service = {
        "name": SERVICE,
        "targets": [f"{patient_url}/metrics", f"{patient_url}/gpu/metrics"],
        "host": True,
        "objective": {"latency_p99": "200ms"},
        "tuning": {"actuator": {"kind": "http_knobs", "url": f"{patient_url}/knobs"}},
    }
    content = {
        "store": f"chdb://{folder}/store",
        "token_file": f"{folder}/token",
        "api": {"port": 0},
        "console": None if console_port is None else {"port": console_port},
        "services": [service],
    }
    return parse_config(content, "the demo's configuration")
