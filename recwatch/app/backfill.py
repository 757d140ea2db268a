"""`recwatch backfill`: detectors that start warm, from the history that another system holds."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from recwatch.core.errors import BadInput
from recwatch.core.wording import utc

if TYPE_CHECKING:
    from collectors.past import PastSource
    from recwatch.app.config import Config, WatchedService
    from recwatch.app.filling import Told, Wanted


def backfill(  # noqa: PLR0913, PLR0917  (a command's options are its arguments)
    file: Annotated[Path, typer.Argument(help="The YAML configuration.", metavar="FILE")],
    source: Annotated[str, typer.Argument(help="A Prometheus, as http://host:9090, or a ClickHouse, as its DSN.")],
    service: Annotated[str | None, typer.Option(help="The service, where there are several.")] = None,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="How far to go back.")] = 7.0,
    step: Annotated[str, typer.Option(help="Time between two readings; at most 1m.")] = "1m",
    match: Annotated[
        list[str] | None, typer.Option(help="Which series are the service's; as its 'receive' says if left out.")
    ] = None,
    signal: Annotated[
        list[str] | None, typer.Option(help="SIGNAL=PROMQL: a canonical signal that a query gives.", metavar="SIGNAL=PROMQL")
    ] = None,
    credentials_file: Annotated[Path | None, typer.Option(help="A file with Prometheus's bearer token.")] = None,
    table: Annotated[str, typer.Option(help="ClickHouse: the table.")] = "samples",
    columns: Annotated[str, typer.Option(help="ClickHouse: its columns, as time=…,value=…,name=…,labels=….")] = "",
) -> None:
    """Fill in the history of a service, and let the detectors learn from it, while recwatch is not running.

    Broken off, it goes on where it was when it is run again; run once more, it adds nothing.
    """
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.app.filling import wanted_of  # noqa: PLC0415 - heavy

    config = load_config(file)
    watched = config.service(service)
    wanted = wanted_of(watched, source, match or [], signal or [], step)
    with closing(_source(source, credentials_file, table, columns)) as opened:
        _run(config, watched, opened, wanted, days)


def _source(source: str, credentials_file: Path | None, table: str, columns: str) -> PastSource:
    from collectors.past_table import PastTable, TableColumns  # noqa: PLC0415 - heavy
    from collectors.query_api import QueryApi  # noqa: PLC0415 - heavy

    if not source.startswith(("http://", "https://")):
        return PastTable(source, table, TableColumns.parse(columns))
    try:
        token = credentials_file.read_text(encoding="utf-8").strip() if credentials_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the credentials in {credentials_file} cannot be read: {error}") from error
    return QueryApi(source, token)


class _Bars:
    """Progress bars, one a part of the work, with the rows that it brought."""

    def __init__(self, out: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeRemainingColumn(),
            console=out,
        )

    def bar(self, what: str, steps: int, done: int) -> Told:
        """A bar of so many steps, of which some are done; what is told of more moves it on."""
        task = self._progress.add_task(f"{what:<10}", total=steps, completed=done, rows=0)
        rows = 0

        def told(steps: int, more: int) -> None:
            nonlocal rows
            rows += more
            self._progress.update(task, advance=steps, rows=rows)

        return told

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _run(config: Config, watched: WatchedService, source: PastSource, wanted: Wanted, days: float) -> None:
    from detectors.stage import DetectorStage  # noqa: PLC0415 - heavy
    from recwatch.app.filling import Filling  # noqa: PLC0415 - heavy
    from recwatch.core.clock import SystemClock  # noqa: PLC0415 - heavy
    from recwatch.core.store import open_store  # noqa: PLC0415 - heavy

    out = Console(soft_wrap=True, emoji=False, markup=False)
    with ExitStack() as stack:
        filling = Filling(stack.enter_context(closing(open_store(config.store))), source, wanted, SystemClock())
        plan = filling.plan(days)
        span = f"{utc(plan.start_ms)} to {utc(plan.end_ms)}"
        if plan.taught:
            out.print(f"{watched.name}: the history from {span} is filled in and learnt already.")
            return
        out.print(f"{watched.name}: {span}, every {wanted.step_ms / 1000:g} s")
        with _Bars(out) as bars:
            steps = (plan.end_ms - plan.start_ms) // wanted.step_ms
            done = (plan.done_ms - plan.start_ms) // wanted.step_ms
            plan = filling.fill(plan, bars.bar("filling in", steps, done))
            objectives = {s.name: s.objective.objective() for s in config.services if s.objective}
            stage = DetectorStage(objectives, config.detection)
            interval_ms = round(1000 * watched.scrape_interval)
            signals = filling.teach(stage, plan, interval_ms, bars.bar("learning", steps, 0))
        out.print(f"{watched.name}: the detectors have learnt {signals} signals.")
