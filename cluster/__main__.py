"""`make demo-kafka`: the story of `recwatch demo`, told by many processes over a real broker of this machine."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from cluster.java import Missing
from cluster.kafka import local_kafka
from cluster.processes import Processes
from recwatch.app.cli import Fault, FaultOption, FiguresOption, OnceOption, Plain, SeedOption
from recwatch.app.cli import main as set_up
from recwatch.app.demo import Options, run_demo
from recwatch.core.errors import Unavailable

app = typer.Typer(cls=Plain, add_completion=False)


@app.callback()
def main() -> None:
    """The distributed deployment on this machine alone."""
    set_up(verbose=False)


@app.command()
def demo(
    once: OnceOption = False, fault: FaultOption = Fault.surge, json: FiguresOption = None, seed: SeedOption = 7
) -> None:
    """Run the whole story over a real Kafka broker and a served store, a process for every role."""
    out = Console(emoji=False)
    with tempfile.TemporaryDirectory(prefix="recwatch-kafka-") as folder:
        try:
            with local_kafka(Path(folder)) as kafka:
                out.print(f"A Kafka broker of its own answers at {kafka.plain}.", highlight=False)
                reached = run_demo(Options(fault.value, once, json, seed), out, partial(Processes, f"kafka://{kafka.plain}"))
        except Missing as lacking:
            raise Unavailable(f"There is no broker to run this on: {lacking}.") from lacking
    raise typer.Exit(0 if reached else 1)


if __name__ == "__main__":
    app()
