"""The command line: what people type. Every command ends in a table or a sentence, and in an exit code."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from recwatch.app.backfill import backfill
from recwatch.app.backtest.command import backtest
from recwatch.app.roles import RoleName
from recwatch.app.shell import app as shell
from recwatch.app.store_command import app as store
from recwatch.core.errors import BadInput, RecwatchError


class Plain(TyperGroup):
    """Commands whose expected failures are a sentence and exit code 1, and whose interruption is exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except RecwatchError as error:
            Console(stderr=True, emoji=False).print(
                f"recwatch: {error}", style="red", markup=False, highlight=False, soft_wrap=True
            )
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(130) from interrupt


app = typer.Typer(
    cls=Plain,
    no_args_is_help=True,
    add_completion=False,
    help="Watch GPU-served recommenders; say why; propose the mend.",
)
dashboards = typer.Typer(no_args_is_help=True, help="Grafana dashboards as code.")
app.add_typer(dashboards, name="dashboards")
app.add_typer(store, name="store")
for command in shell.registered_commands:
    app.registered_commands.append(command)

app.command()(backfill)
app.command()(backtest)

FileArgument = Annotated[Path, typer.Argument(help="The YAML configuration.", metavar="FILE")]


class Fault(StrEnum):
    """The faults that the reference recommender can have."""

    surge = "surge"
    deploy = "deploy"
    throttle = "throttle"


OnceOption = Annotated[bool, typer.Option("--once", help="Without a person: approve, verify, and exit.")]
FaultOption = Annotated[Fault, typer.Option("--fault", help="What goes wrong.")]
FiguresOption = Annotated[Path | None, typer.Option("--json", help="Write the figures of the story to this file.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the data and of the load.")]


@app.callback()
def main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is going on.")] = False) -> None:
    """Set up logging for every command, and Arrow's memory."""
    # The C library's allocator holds 15 MB less than Arrow's own; this is read when pyarrow is first imported.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for client in (
        "kafka",
        "stamina",
        "clickhouse_connect",
        "urllib3.connectionpool",
    ):  # what they fail of, we say in one sentence
        logging.getLogger(client).setLevel(logging.CRITICAL)


def _plain() -> Console:
    """A terminal that shows sentences as they are, and breaks no address or path."""
    return Console(soft_wrap=True, emoji=False, markup=False, highlight=False)


@app.command()
def demo(
    once: OnceOption = False, fault: FaultOption = Fault.surge, json: FiguresOption = None, seed: SeedOption = 7
) -> None:
    """Run the whole story on this machine: load, a fault, the incident, the proposal, the measured recovery."""
    from recwatch.app.demo import Options, run_demo  # noqa: PLC0415 - heavy

    reached = run_demo(Options(fault.value, once, json, seed), Console(emoji=False))
    raise typer.Exit(0 if reached else 1)


@app.command()
def up(file: FileArgument = Path("recwatch.yaml")) -> None:
    """Run the monitor in one process: collectors, detectors, alerting, tuning, API and console.

    Ctrl-C or SIGTERM stops it, with exit code 0 once everything is stored.
    """
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.app.up import run_up  # noqa: PLC0415 - heavy

    run_up(load_config(file), _plain())


@app.command()
def run(
    role: Annotated[str, typer.Argument(help=f"What this process does: {', '.join(RoleName)}.", metavar="ROLE")],
    file: FileArgument = Path("recwatch.yaml"),
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where it says how it is, any free port by default; not of the API."),
    ] = None,
    api_url: Annotated[str | None, typer.Option(help="Of the console: where the API is, if not at api.port here.")] = None,
) -> None:
    """Run one role of the distributed deployment; any number of processes of each may run.

    Bus and store must be of the kind that processes share. Every process answers /healthz, /readyz and /metrics, the API at
    api.port. Ctrl-C or SIGTERM stops it, with exit code 0 once what it had begun is finished.
    """
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.app.run import run_role  # noqa: PLC0415 - heavy

    run_role(RoleName.named(role), load_config(file), port, api_url, _plain())


@app.command()
def check(file: FileArgument = Path("recwatch.yaml")) -> None:
    """Check a configuration, and what it names on this machine; say what is wrong, and where.

    Nothing is started and no target is asked: `recwatch coverage URL` asks one.
    """
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.app.preflight import found, stumbles  # noqa: PLC0415 - heavy

    config = load_config(file)
    if faults := [f"{file}: {sentence}" for sentence in stumbles(config)]:
        raise BadInput("\n".join(faults))
    sentence = f"{file}: good. {found(config.services)}."
    _plain().print(sentence)


def _known(kind: str | None) -> str | None:
    """The kind of server, if there is such a one."""
    from collectors.normalise import NORMALISERS  # noqa: PLC0415 - heavy

    if kind is not None and kind not in NORMALISERS:
        raise typer.BadParameter(f"'{kind}' is no kind of server; they are: {', '.join(NORMALISERS)}")
    return kind


@app.command()
def coverage(
    target: Annotated[str, typer.Argument(help="A URL, or a file of exposition text.")],
    kind: Annotated[
        str | None, typer.Option(callback=_known, help="Which server wrote it, where that is not to be recognised.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a page that breaks its format's standard.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON: every figure with its sources.")] = False,
) -> None:
    """Say what can be known of a server from its metrics page, what cannot, and why.

    Exits 0 with a report, also of a page of no known kind; 1 when there is no page that can be read; 2 for wrong usage.
    """
    from recwatch.app.coverage.command import as_json, examine  # noqa: PLC0415 - heavy
    from recwatch.app.coverage.text import coverage_text  # noqa: PLC0415 - heavy

    report = examine(target, kind, strict)
    if json:
        typer.echo(dumps(as_json(report, target), indent=2, ensure_ascii=False))
    else:
        out = Console(emoji=False)
        out.print(coverage_text(report, target, out.width))


@dashboards.command()
def build(out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("grafana")) -> None:
    """Write the Grafana dashboards as JSON, and say how to load them and where their figures come from."""
    from dashboards.grafana import build as build_dashboards  # noqa: PLC0415 - heavy
    from dashboards.grafana.howto import HOWTO  # noqa: PLC0415 - as above

    for path in build_dashboards(out):
        typer.echo(path)
    typer.echo(HOWTO, err=True, nl=False)


@dashboards.command()
def push(
    url: Annotated[str, typer.Argument(help="Where Grafana answers, such as http://127.0.0.1:3000.")],
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="A service account's token; without it, RECWATCH_GRAFANA_TOKEN holds the token."),
    ] = None,
    folder: Annotated[str, typer.Option(help="The UID of Grafana's folder for them; at the top without.")] = "",
) -> None:
    """Create or replace the dashboards in a Grafana."""
    from dashboards.grafana.push import push as push_dashboards  # noqa: PLC0415 - heavy
    from dashboards.grafana.push import token_of  # noqa: PLC0415 - as above

    for address in push_dashboards(url, token_of(token_file), folder):
        typer.echo(address)
