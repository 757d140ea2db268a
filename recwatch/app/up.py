"""`recwatch up`: the pipeline and the console, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Event

from rich.console import Console

from recwatch.app.config import Config
from recwatch.app.ending import told_to_end
from recwatch.app.pipeline import Pipeline
from recwatch.app.remote_write import WRITE_PATH
from recwatch.app.roles.console import ConsoleChild
from recwatch.app.store_server import READER, reading_side
from recwatch.app.threads import Trouble
from recwatch.core.clock import SystemClock
from recwatch.core.wording import counted


def run_up(config: Config, out: Console) -> None:
    """Watch until Ctrl-C, SIGTERM or the terminal's end; then stop what was started, and store what was scraped.

    Under nohup the terminal's end changes nothing. A second Ctrl-C does not cut the stopping short. Raises what a part of
    the pipeline died of.
    """
    with ExitStack() as stack:
        told = stack.enter_context(told_to_end())
        pipeline = Pipeline(config, SystemClock())
        stack.callback(pipeline.stop)
        pipeline.start()
        for sentence in _started(config, pipeline.url):
            out.print(sentence)
        console = None
        if config.console is not None:
            console = stack.enter_context(ConsoleChild(config.console, pipeline.url, config.token_file))
            out.print(f"Console {console.url}. Press Ctrl-C to stop.")
        reader = None
        if config.store_reader is not None:
            reader = stack.enter_context(closing(reading_side(config.store, config.store_reader)))
            password_file = config.store_reader.password_file
            out.print(f"The store answers at {reader.url}. User {READER}, password in {password_file}.")
        trouble = Trouble("recwatch watches on without its console")
        pause = Event()
        while not told:
            pipeline.check()
            if reader is not None:
                reader.check()
            trouble.now(console.failure() if console else "")
            pause.wait(0.2)


def _started(config: Config, url: str) -> Iterator[str]:
    """What whoever wants to read, write or send has to know."""
    yield f"recwatch watches {counted(len(config.services), 'service')}. API {url}"
    yield f"Whoever may write has the token in {config.token_file}."
    if not config.notify:
        yield "Nobody is told of incidents: 'notify' names no one. {type: printer} there prints them here."
    if any(service.receive for service in config.services):
        yield f"Prometheus's remote_write goes to {url}{WRITE_PATH}, with the token in {config.receive_token_file}."
