"""`recwatch backtest`: what would have alarmed, when, and how much of what was the matter that would have caught."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from recwatch.core.errors import BadInput

if TYPE_CHECKING:
    from detectors.plan import DetectionConfig
    from recwatch.app.backtest.history import Asked, History
    from recwatch.core.objective import Objective
    from recwatch.core.signals import Samples

CONFIGURATIONS = (".yaml", ".yml")


def backtest(  # noqa: PLR0913, PLR0917  (a command's options are its arguments)
    source: Annotated[
        Path, typer.Argument(help="The YAML configuration, or a file of readings: CSV or Parquet.", metavar="SOURCE")
    ],
    service: Annotated[str | None, typer.Option(help="The service, where there are several.")] = None,
    since: Annotated[str | None, typer.Option(help="From when on: 7d before the end, or a time; all if left out.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: 1d before the end, or a time.")] = None,
    learn: Annotated[
        str | None, typer.Option(help="Time before it to learn from only; 1d of a store, all of a file if left out.")
    ] = None,
    detection: Annotated[
        list[Path] | None, typer.Option(help="A YAML file with another 'detection' to set beside it; may be repeated.")
    ] = None,
    max_false_alarms: Annotated[
        list[float] | None, typer.Option(help="Another max_false_alarms_per_series_day to set beside it; may be repeated.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all that was found to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Plot what was told, to FILE.png or FILE.svg.")] = None,
) -> None:
    """Say what detection would have told of the past, and how much of what was marked it would have caught.

    SOURCE is a configuration, whose store is read while recwatch is not running, or a file of readings.
    Such a file has the columns time, value and, of several series, series; label is 1 where something was the matter.
    Nothing is stored or sent.
    """
    from recwatch.app.backtest.history import Asked  # noqa: PLC0415 - heavy
    from recwatch.app.backtest.plot import require_drawable  # noqa: PLC0415 - heavy

    if plot is not None:
        require_drawable(plot)
    asked = Asked(since, until, learn)
    with _past(source, service, asked) as (history, objective, configured):
        configs = _configs(configured, detection or [], max_false_alarms or [])
        _run(history, objective, configs, json, plot)


Past = tuple["History", "Objective | None", "DetectionConfig"]


@contextmanager
def _past(source: Path, service: str | None, asked: Asked) -> Iterator[Past]:
    """The history, what the service promises, and what is configured of detection."""
    if source.suffix not in CONFIGURATIONS:
        from detectors.plan import DetectionConfig  # noqa: PLC0415 - heavy
        from recwatch.app.backtest.file import read_file  # noqa: PLC0415 - heavy

        yield read_file(source, asked), None, DetectionConfig()
        return
    from recwatch.app.backtest.history import stored  # noqa: PLC0415 - heavy
    from recwatch.app.config import load_config  # noqa: PLC0415 - heavy
    from recwatch.core.clock import SystemClock  # noqa: PLC0415 - heavy
    from recwatch.core.store import open_store  # noqa: PLC0415 - heavy

    config = load_config(source)
    watched = config.service(service)
    objective = watched.objective.objective() if watched.objective else None
    with closing(open_store(config.store)) as store:
        yield (
            stored(store, watched.name, watched.scrape_interval, asked, SystemClock().now_ms()),
            objective,
            config.detection,
        )


def _configs(
    configured: DetectionConfig, files: Sequence[Path], max_false_alarms: Sequence[float]
) -> Mapping[str, DetectionConfig]:
    """The configurations to compare, by the names under which they are shown; the first is what is configured."""
    from detectors.plan import DetectionConfig  # noqa: PLC0415 - heavy
    from recwatch.app.config import load_detection  # noqa: PLC0415 - heavy

    configs = {"as configured": configured}
    configs |= {str(file): load_detection(file) for file in files}
    for number in max_false_alarms:
        if not 0 < number <= 100:
            raise BadInput(f"--max-false-alarms {number:g} is not above 0 and at most 100 a series-day")
        knob = {"max_false_alarms_per_series_day": number}
        configs[f"{number:g} false alarms a series-day"] = DetectionConfig(**(configured.model_dump() | knob))
    return configs


def _run(
    history: History,
    objective: Objective | None,
    configs: Mapping[str, DetectionConfig],
    json_path: Path | None,
    plot_path: Path | None,
) -> None:
    from recwatch.app.backtest.drawing import draw_history, sketch_of  # noqa: PLC0415 - heavy
    from recwatch.app.backtest.replay import replay  # noqa: PLC0415 - heavy
    from recwatch.app.backtest.report import as_json, report  # noqa: PLC0415 - heavy
    from recwatch.core.clock import SystemClock  # noqa: PLC0415 - heavy

    out = Console(emoji=False)
    sketch = None if plot_path is None else sketch_of(history)
    with _bar(history, out) as followed:
        outcomes = replay(followed, objective, configs, SystemClock(), sketch)
    out.print(report(history, outcomes))
    if json_path is not None:
        _write(json_path, json.dumps(as_json(history, outcomes), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    if plot_path is not None and sketch is not None:
        draw_history(history, outcomes, sketch, plot_path)


@contextmanager
def _bar(history: History, out: Console) -> Iterator[History]:
    """The history, with a bar that shows how much of it was read."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("judging", total=history.span.end_ms - history.span.start_ms)

        def batches() -> Iterator[Samples]:
            for batch in history.batches():
                yield batch
                if len(batch):
                    progress.update(bar, completed=int(batch.time_ms.max()) - history.span.start_ms)

        yield replace(history, batches=batches)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); name another file") from error
