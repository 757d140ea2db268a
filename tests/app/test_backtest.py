"""`recwatch backtest` as people run it: over a store with a known fault, over files with labels, and over neither."""

from __future__ import annotations

import gzip
import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import csv, parquet
from typer.testing import CliRunner, Result

from recwatch.app.cli import app
from recwatch.core.events import Anomaly, Cause, Incident, Mark, RankedCause, Transition
from recwatch.core.signals import Samples, Series
from recwatch.core.store import open_store
from tests.conftest import require
from tests.simulated_service import SERVICE, SimulatedService

PNG = b"\x89PNG\r\n\x1a\n"
SECONDS = 280
SURGE = range(180, 230)


@dataclass(frozen=True)
class Shop:
    """A configuration whose store holds some minutes with a surge in them, and when they began."""

    file: Path
    start_ms: int

    def at(self, second: int) -> int:
        return self.start_ms + second * 1000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The minutes are lately past, for a store lets go of what is old."""
    folder = tmp_path_factory.mktemp("shop")
    file = folder / "recwatch.yaml"
    service: dict[str, object] = {"name": SERVICE, "targets": ["http://127.0.0.1:1/metrics"], "scrape_interval": "1s"}
    service["objective"] = {"latency_p99": "150ms"}
    other = {"name": "news", "targets": ["http://127.0.0.1:2/metrics"]}
    content = {"services": [service, other], "store": f"chdb://{folder}/store", "token_file": f"{folder}/token"}
    file.write_text(yaml.safe_dump(content))
    shop = Shop(file, (int(time.time()) - 2 * SECONDS) * 1000)
    store = open_store(content["store"])  # type: ignore[arg-type]
    try:
        store.write_series(known := recorded(shop, store.write_samples))
        latency = next(series for series in known if series.name == "latency_p99_seconds")
        store.write_events([opened(shop, latency), Mark.of(SERVICE, "deploy", shop.at(150), "v2 is out", "ci")])
    finally:
        store.close()
    return shop


def recorded(shop: Shop, write: Any) -> set[Series]:
    simulated, known, batches = SimulatedService(), set(), []
    for second in range(SECONDS):
        simulated.load_rps = 600.0 if second in SURGE else 110.0
        readings = simulated.tick(shop.at(second))
        known |= set(readings)
        batches.append(Samples.of(SERVICE, "", shop.at(second), {series.id: value for series, value in readings.items()}))
    write(batches, "recorded")
    return known


def opened(shop: Shop, latency: Series) -> Incident:
    """What was opened at the time."""
    start_ms, end_ms = shop.at(SURGE.start), shop.at(SURGE.stop)
    anomaly = Anomaly("a", SERVICE, str(latency.id), latency.key, "objective", start_ms, end_ms, 9.0, "above", 1.0, None, "")
    causes = (RankedCause(Cause.LOAD_SURGE, 0.9, ()),)
    history = (Transition("open", start_ms, "recwatch", ""), Transition("resolved", end_ms, "recwatch", ""))
    return Incident("i", SERVICE, "resolved", "page", start_ms, end_ms, "a surge", causes, (anomaly,), (), history)


def backtest(*arguments: object, columns: int = 200) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["backtest", *map(str, arguments)])


def found(folder: Path, *arguments: object) -> dict[str, Any]:
    """What a backtest writes as JSON."""
    done = backtest(*arguments, "--json", folder / "found.json")
    assert done.exit_code == 0, done.output
    content: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return content


def spiked(rows: int = 400, at: Mapping[int, float] | None = None) -> np.ndarray:
    """Readings about 10, but for some."""
    values = 10.0 + 0.1 * np.random.default_rng(5).standard_normal(rows)
    for row, value in (at or {}).items():
        values[row] = value
    return values


def written(file: Path, **columns: Sequence[object] | np.ndarray) -> Path:
    table = pa.table({name: list(column) for name, column in columns.items()})
    if file.suffix == ".parquet":
        parquet.write_table(table, file)
    else:
        csv.write_csv(table, file)
    return file


MINUTES = 1_700_000_000.0 + 60.0 * np.arange(400)


def labelled(folder: Path, kind: str = "csv") -> Path:
    """Two spikes: one is labelled from a minute before it on, the other is not."""
    label = [int(299 <= row < 305) for row in range(400)]
    return written(folder / f"orders.{kind}", time=MINUTES, value=spiked(at={300: 20.0, 360: 20.0}), label=label)


def test_a_store_tells_the_fault_that_is_in_it_and_what_would_have_paged(shop: Shop, tmp_path: Path) -> None:
    told = found(tmp_path, shop.file, "--service", SERVICE)

    (configured,) = told["configurations"]
    (incident,) = configured["incidents"]
    assert shop.at(SURGE.start) <= incident["told_ms"] <= shop.at(SURGE.start + 15)
    assert (incident["severity"], incident["cause"]) == ("page", "load_surge")
    assert configured["worth_of_incidents"]["caught"] == configured["worth_of_incidents"]["marked"] == 1
    assert configured["worth_of_incidents"]["alarms_outside"] == 0
    (latency,) = [one for one in configured["series"] if one["series"].startswith("latency_p99_seconds")]
    assert latency["worth"]["caught"] == latency["worth"]["marked"] == 1
    assert latency["readings"] <= SECONDS
    assert {one["method"] for one in latency["anomalies"]} >= {"objective"}


def test_the_table_says_it_for_each_configuration_side_by_side(shop: Shop, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("detection: {max_false_alarms_per_series_day: 0.01}")
    done = backtest(shop.file, "--service", SERVICE, "--detection", other, "--max-false-alarms", 50)

    assert done.exit_code == 0, done.output
    for words in (
        "p99 latency",
        "1 incident would have been opened",
        "1 of 1",
        "other.yaml",
        "50 false alarms a series-day",
    ):
        assert words in done.output
    last = done.output.rpartition("in all")[2].splitlines()
    speeds = next(line for line in last if line.startswith("readings a second"))
    assert len(speeds.removeprefix("readings a second").split()) == 3


def test_a_narrow_terminal_breaks_no_word_and_no_figure(tmp_path: Path) -> None:
    named = labelled(tmp_path).rename(tmp_path / f"{'_'.join(['orders'] * 20)}.csv")
    done = backtest(named, *[word for most in (0.01, 1, 50) for word in ("--max-false-alarms", most)], columns=80)

    lines = [line.split() for line in done.output.splitlines()]
    assert max(map(len, done.output.splitlines())) <= 80
    assert ["first", "told", "anomalies", "longest", "peak", "caught", "delay", "a", "day"] in lines
    assert lines.count(["2023-11-15", "03:13:20"]) == 4
    beside = done.output.rpartition("in all")[2].split()
    assert beside.count("configured") == 1
    assert beside.count("series-day") == 3 + 1


def test_what_is_before_since_is_learnt_from_and_not_told(shop: Shop, tmp_path: Path) -> None:
    after = f"{(shop.at(SURGE.stop + 20)) // 1000}"
    since = np.datetime64(int(after), "s").item().isoformat()
    told = found(tmp_path, shop.file, "--service", SERVICE, "--since", since)

    (configured,) = told["configurations"]
    assert configured["incidents"] == []
    assert all(one["readings"] <= SECONDS - SURGE.stop - 20 for one in configured["series"])
    assert configured["readings"] > sum(one["readings"] for one in configured["series"])


def test_two_runs_write_the_same(shop: Shop, tmp_path: Path) -> None:
    require("matplotlib", importlib.util.find_spec("matplotlib") is not None, "it is not installed")
    until = np.datetime64(shop.at(SECONDS) // 1000, "s").item().isoformat()
    wrote = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = [tmp_path / name / "found.json", tmp_path / name / "found.svg"]
        done = backtest(
            shop.file,
            "--service",
            SERVICE,
            "--until",
            until,
            "--json",
            files[0],
            "--plot",
            files[1],
            "--max-false-alarms",
            1,
        )
        assert done.exit_code == 0, done.output
        wrote.append([file.read_bytes() for file in files])
    assert wrote[0] == wrote[1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_with_labels_says_what_was_caught_and_what_is_outside(tmp_path: Path, kind: str) -> None:
    told = found(tmp_path, labelled(tmp_path, kind))

    (configured,) = told["configurations"]
    (orders,) = configured["series"]
    assert orders["series"] == 'orders{service="orders"}'
    assert [one["told_ms"] for one in orders["anomalies"]] == [round(1000 * MINUTES[row]) for row in (300, 360)]
    assert orders["worth"] | {"days": 0} == {"marked": 1, "caught": 1, "delays_s": [60.0], "alarms_outside": 1, "days": 0}
    assert [(one["start_ms"], one["end_ms"]) for one in told["marked"]] == [
        (round(1000 * MINUTES[299]), round(1000 * MINUTES[304]))
    ]


def test_a_series_of_a_file_that_is_called_as_a_signal_is_judged_as_one(tmp_path: Path) -> None:
    p99 = np.where(np.arange(400) >= 350, 0.5, 0.02 + 0.001 * np.random.default_rng(2).standard_normal(400))
    columns = {
        "timestamp": [*MINUTES, *MINUTES],
        "series": ["latency_p99_seconds"] * 400 + ["orders"] * 400,
        "value": [*p99, *spiked()],
    }
    (configured,) = found(tmp_path, written(tmp_path / "shop.csv", **columns))["configurations"]

    assert {one["series"] for one in configured["series"]} == {
        'latency_p99_seconds{service="shop"}',
        'orders{service="shop"}',
    }
    (incident,) = configured["incidents"]
    assert incident["start_ms"] == round(1000 * MINUTES[350])


def test_a_folder_of_labelled_series_has_its_labels_beside_it(tmp_path: Path) -> None:
    (tmp_path / "nab").mkdir()
    stamps = [int(stamp) for stamp in MINUTES]
    rows = "\n".join(f"{stamp},{value}" for stamp, value in zip(stamps, spiked(at={20: 30.0, 300: 30.0}), strict=True))
    with gzip.open(tmp_path / "nab" / "cpu.csv.gz", "wt") as file:
        file.write(f"timestamp,value\n{rows}\n")
    (tmp_path / "manifest.csv").write_text("series_id,source,kind,step_s\nnab/cpu,nab,interval,60\n")
    label = {"kind": "interval", "score_start": stamps[60], "events": [[stamps[295], stamps[310]]]}
    (tmp_path / "labels.json").write_text(json.dumps({"nab/cpu": label}))
    told = found(tmp_path, tmp_path / "nab" / "cpu.csv.gz")

    assert told["span"]["counted_from_ms"] == 1000 * stamps[60]
    assert told["configurations"][0]["worth"]["caught"] == told["configurations"][0]["worth"]["marked"] == 1


def test_gaps_are_no_readings_and_no_alarms(tmp_path: Path) -> None:
    values: list[float | None] = [*spiked()]
    values[100:150] = [None] * 50
    values[200] = float("inf")
    values[210] = float("nan")
    holes = written(tmp_path / "holes.parquet", time=MINUTES, value=values)
    (configured,) = found(tmp_path, holes)["configurations"]

    (series,) = configured["series"]
    assert (series["readings"], series["anomalies"]) == (400 - 52, [])


def test_a_plot_shows_the_series_that_were_told_of(tmp_path: Path) -> None:
    require("matplotlib", importlib.util.find_spec("matplotlib") is not None, "it is not installed")
    done = backtest(labelled(tmp_path), "--plot", tmp_path / "orders.png")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "orders.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("absent.csv", None, [], "cannot be read"),
        ("orders.txt", "time,value\n1,2\n", [], "is none of .csv"),
        ("orders.csv", "", [], "is no table"),
        ("orders.csv", "when,value\n1,2\n", [], "column 'time' is missing; it needs the columns time"),
        ("orders.csv", "time,value\n1,two\n2,three\n", [], "column 'value' holds string, not numbers"),
        ("orders.csv", "time,value\nsoon,2\nlate,3\n", [], "column 'time' holds string, not numbers"),
        ("orders.csv", "time,value\n1,\n2,\n", [], "no row has both a time and a value"),
        ("orders.csv", "time,value\n1,2\n2,3\n", ["--since", "2026-01-01"], "let --until be the later one"),
        ("orders.csv", "time,value\n1,2\n2,3\n", ["--since", "soon"], "'soon' is neither a duration"),
        (
            "orders.csv",
            "time,value\n1,2\n9000,3\n",
            ["--since", "1h", "--until", "30m"],
            "has no reading that is judged from",
        ),
        ("orders.csv", "time,value\n1,2\n2,3\n", ["--plot", "orders.gif"], "ends in .png or .svg"),
        ("orders.csv", "time,value\n1,2\n2,3\n", ["--max-false-alarms", "0"], "is not above 0"),
        ("orders.csv", "time,value\n1,2\n2,3\n", ["--detection", "/nowhere.yaml"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, name: str, content: str | None, options: list[str], words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = backtest(tmp_path / name, *options)

    assert done.exit_code == 1, done.output
    assert words in done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services: []", "key 'detection' is missing"),
        ("detection: {max_alarms: 3}", "unknown key 'detection.max_alarms'"),
        ("detection: {also: {nonsense: [river]}}", "'nonsense' is no signal that is judged"),
    ],
)
def test_a_configuration_of_detection_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "other.yaml").write_text(text)
    done = backtest(labelled(tmp_path), "--detection", tmp_path / "other.yaml")

    assert done.exit_code == 1
    assert words in done.output


def test_of_several_services_one_is_named_and_one_that_was_never_watched_has_no_past(shop: Shop) -> None:
    assert "there are: shop, news" in backtest(shop.file).output
    assert "the store holds no signals of news" in backtest(shop.file, "--service", "news").output
