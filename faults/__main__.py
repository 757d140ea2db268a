"""`python -m faults [NAME…]`: kill, pause and mislead recwatch, and count what was lost."""

from __future__ import annotations

import logging
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.java import Missing
from cluster.kafka import local_kafka
from faults.cases import CASES, SHORT, Tell
from faults.report import WIDTH, table, write
from faults.run import How, Outcome, run_case
from recwatch.app.cli import main as set_up

LACKING = 3
"""The exit code where this machine has no broker."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(CASES)}; all if none is named.")] = None,
    short: Annotated[bool, typer.Option("--short", help="A small share, within 90 s.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write what the table shows to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of whom to kill, and when.")] = 7,
) -> None:
    """Run faults on real processes over real brokers of this machine; exits 1 when any promise is broken."""
    set_up(verbose=False)
    logging.getLogger("recwatch").setLevel(logging.ERROR)  # what is misled here is told by the processes' own logs
    wanted, out, outcomes = names or list(SHORT if short else CASES), Console(emoji=False), []
    if unknown := [name for name in wanted if name not in CASES]:
        raise typer.BadParameter(f"{unknown} are no faults; they are: {', '.join(CASES)}")
    try:
        with out.status("starting brokers") as status:
            for outcome in _outcomes(wanted, How(seed, short, status.update)):
                outcomes.append(outcome)
                if outcome.lacking:
                    out.print(f"{outcome.name} is not run: {outcome.lacking}.", style="yellow", highlight=False)
                for sentence in outcome.broken:
                    out.print(f"{outcome.name}: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
    except Missing as lacking:
        out.print(f"There is no broker to run this on: {lacking}.", style="red", markup=False, highlight=False)
        raise typer.Exit(LACKING) from lacking
    out.width = max(out.width, WIDTH)
    out.print(table(outcomes))
    if json is not None:
        write(outcomes, json)
    raise typer.Exit(any(outcome.broken for outcome in outcomes))


def _outcomes(names: Sequence[str], how: How) -> Iterator[Outcome]:
    """Run the cases that want equally many brokers over the same ones."""
    for count, group in groupby(sorted(names, key=lambda name: CASES[name].brokers), key=lambda name: CASES[name].brokers):
        with tempfile.TemporaryDirectory(prefix="recwatch-faults-") as folder, local_kafka(Path(folder), count) as kafka:
            for name in group:
                there = Path(folder) / name
                there.mkdir()
                yield run_case(name, CASES[name], kafka, there, replace(how, tell=partial(_tell, how.tell, name)))


def _tell(tell: Tell, name: str, text: str) -> None:
    tell(f"{name}: {text}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    typer.run(main)
