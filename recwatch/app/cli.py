"""The command line: what people type. Every command ends in a table or a sentence, and in an exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.console import Console
from rich.logging import RichHandler

from recwatch.app.shell import app as shell
from recwatch.core.errors import RecwatchError

P = ParamSpec("P")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Watch GPU-served recommenders; say why; propose the mend."
)
dashboards = typer.Typer(no_args_is_help=True, help="Grafana dashboards as code.")
app.add_typer(dashboards, name="dashboards")
for command in shell.registered_commands:
    app.registered_commands.append(command)

FileArgument = Annotated[Path, typer.Argument(help="The YAML configuration.", metavar="FILE")]


class Fault(StrEnum):
    """The faults that the reference recommender can have."""

    surge = "surge"
    deploy = "deploy"
    throttle = "throttle"


def plainly(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected failure into its sentence and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except RecwatchError as error:
            Console(stderr=True).print(f"recwatch: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(130) from interrupt

    return run


@app.callback()
def main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is going on.")] = False) -> None:
    """Set up logging for every command."""
    handler = RichHandler(console=Console(stderr=True), show_path=False)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


@app.command()
@plainly
def demo(
    once: Annotated[bool, typer.Option("--once", help="Without a person: approve, verify, and exit.")] = False,
    fault: Annotated[Fault, typer.Option(help="What goes wrong.")] = Fault.surge,
    json: Annotated[Path | None, typer.Option(help="Write the figures of the story to this file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the data and of the load.")] = 7,
) -> None:
    """Run the whole story on this machine: load, a fault, the incident, the proposal, the measured recovery."""
    from recwatch.app.demo import run_demo  # noqa: PLC0415 - heavy

    reached = run_demo(fault.value, once=once, json_path=json, seed=seed, out=Console())
    raise typer.Exit(0 if reached else 1)


@app.command()
@plainly
def up(file: FileArgument = Path("recwatch.yaml")) -> None:
    """Run the monitor in one process: collectors, detectors, alerting, tuning, API and console."""
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.app.up import run_up  # noqa: PLC0415 - heavy

    run_up(load_config(file), Console())


@app.command()
@plainly
def check(file: FileArgument) -> None:
    """Check a configuration and say what is wrong with it, and where."""
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy

    config = load_config(file)
    targets = sum(len(service.targets) for service in config.services)
    Console().print(f"{file}: good. {len(config.services)} services, {targets} targets.", markup=False, highlight=False)


@dashboards.command()
@plainly
def build(out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("grafana")) -> None:
    """Write the Grafana dashboards as JSON."""
    from dashboards.grafana import build as build_dashboards  # noqa: PLC0415 - heavy

    for path in build_dashboards(out):
        Console().print(str(path), markup=False, highlight=False)
