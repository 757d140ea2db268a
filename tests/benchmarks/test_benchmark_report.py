"""What benchmarks make of their measurements: ratios, goals, the table and the JSON. Nothing is timed here."""

from __future__ import annotations

import inspect
import json
import subprocess
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console

from benchmarks import BENCHMARKS, clients
from benchmarks.__main__ import main
from benchmarks.clients import Answers
from benchmarks.monitor import Memory, monitor_config
from benchmarks.overhead import Cost, Pair, overhead_rows
from benchmarks.ratios import median_ratio, quantile_ratio
from benchmarks.report import Report, Row, table, write_reports
from benchmarks.scrape import page
from benchmarks.timing import in_turns
from collectors.exposition import PageParser
from recwatch.app.config import parse_config
from recwatch.core.errors import Unavailable
from recwatch.core.signals import Float64

ROWS = (Row("p99", 1.08, "ratio", "<= 1.05"), Row("rate", 0.99, "ratio", ">= 0.99"), Row("speed", 3e6, "points/s"))


def read(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))


def missing(out: Console) -> list[Row]:
    raise Unavailable("The recommender did not start.")


@pytest.mark.parametrize(
    ("value", "goal", "met"),
    [
        (1.05, "<= 1.05", True),
        (1.051, "<= 1.05", False),
        (0.99, ">= 0.99", True),
        (0.98, ">= 0.99", False),
        (7.0, None, None),
    ],
)
def test_a_goal_is_met_on_its_side_of_the_bound(value: float, goal: str | None, met: bool | None) -> None:
    assert Row("figure", value, "ratio", goal).met is met


def test_one_report_is_an_object_with_the_promised_keys(tmp_path: Path) -> None:
    write_reports([Report("overhead", ROWS)], tmp_path / "one.json")
    told = read(tmp_path / "one.json")

    assert isinstance(told, dict)
    assert list(told) == ["benchmark", "machine", "rows"]
    assert told["benchmark"] == "overhead"
    assert told["machine"].keys() == {"cores", "cpu", "memory_gib", "python"}
    assert told["rows"] == [
        {"metric": "p99", "value": 1.08, "unit": "ratio", "goal": "<= 1.05", "met": False},
        {"metric": "rate", "value": 0.99, "unit": "ratio", "goal": ">= 0.99", "met": True},
        {"metric": "speed", "value": 3e6, "unit": "points/s", "goal": None, "met": None},
    ]


def test_several_reports_are_a_list_in_their_order(tmp_path: Path) -> None:
    write_reports([Report("scrape", ROWS[:1]), Report("overhead", ROWS[1:])], tmp_path / "two.json")
    told = read(tmp_path / "two.json")

    assert isinstance(told, list)
    assert [one["benchmark"] for one in told] == ["scrape", "overhead"]
    assert [len(one["rows"]) for one in told] == [1, 2]


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_reports([Report("scrape", (Row("speed", float("nan"), "samples/s"),))], tmp_path / "nan.json")


def test_the_table_says_what_was_missed() -> None:
    out = Console(file=StringIO(), width=100)
    out.print(table(Report("overhead", ROWS)))
    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    verdicts = {name: next(line for line in lines if f" {name} " in line) for name in ("p99", "rate", "speed")}

    assert "missed" in verdicts["p99"]
    assert "met" in verdicts["rate"]
    assert "met" not in verdicts["speed"].replace("metric", "")
    assert "3,000,000" in verdicts["speed"]


def test_a_missed_goal_is_no_failure_and_goes_into_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(BENCHMARKS, "tiny", lambda out: ROWS)

    main(["tiny"], tmp_path / "tiny.json")

    told = read(tmp_path / "tiny.json")
    assert isinstance(told, dict)
    assert told["rows"][0]["met"] is False


def test_what_cannot_be_measured_is_said_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BENCHMARKS, "missing", missing)
    monkeypatch.setitem(BENCHMARKS, "tiny", lambda out: ROWS)

    with pytest.raises(typer.Exit) as ended:
        main(["missing", "tiny"], tmp_path / "tiny.json")

    assert ended.value.exit_code == 1
    assert "missing could not be measured: The recommender did not start." in capsys.readouterr().out
    assert isinstance(read(tmp_path / "tiny.json"), dict)


def test_an_unknown_benchmark_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BENCHMARKS, "missing", missing)

    with pytest.raises(typer.BadParameter, match=r"\['overheat'\] are no benchmarks; they are: overhead, "):
        main(["missing", "overheat"], None)


def test_every_benchmark_says_how_it_measures() -> None:
    assert all(inspect.getdoc(benchmark) for benchmark in BENCHMARKS.values())


def test_a_ratio_compares_partners() -> None:
    """What slows the machine slows both of a pair; the ratio of the two medians would be 2 here."""
    assert median_ratio([1.0, 20.0, 30.0], [10.0, 2.0, 300.0]) == 0.1
    assert median_ratio([3.0, 300.0, 30.0], [2.0, 200.0, 20.0]) == 1.5


@pytest.mark.parametrize(("over", "under"), [([1.0, 2.0], [1.0]), ([], [])])
def test_measurements_without_partners_are_refused(over: list[float], under: list[float]) -> None:
    with pytest.raises(ValueError, match="partners"):
        median_ratio(over, under)


def blocks(rng: np.random.Generator, ratio: float = 1.0, pairs: int = 20) -> tuple[list[Float64], list[Float64]]:
    """Latencies of pairs of blocks: what slows the machine slows both of a pair."""
    machine = rng.lognormal(3.0, 0.3, pairs)
    under = [slow * rng.lognormal(0.0, 0.4, 200) for slow in machine]
    return [ratio * slow * rng.lognormal(0.0, 0.4, 200) for slow in machine], under


def test_an_interval_is_the_same_for_the_same_seed_and_holds_its_middle() -> None:
    over, under = blocks(np.random.default_rng(1))
    told = quantile_ratio(over, under, 0.99, seed=3)

    assert told == quantile_ratio(over, under, 0.99, seed=3)
    assert told.mid == np.quantile(np.concatenate(over), 0.99) / np.quantile(np.concatenate(under), 0.99)
    assert told.low < told.mid < told.high


def test_an_interval_holds_the_true_ratio_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.ratios.RESAMPLES", 200)
    rng = np.random.default_rng(2)
    told = [quantile_ratio(*blocks(rng, ratio=1.1), 0.95, seed) for seed in range(100)]

    assert 86 <= sum(one.low <= 1.1 <= one.high for one in told) <= 100


def test_blocks_without_partners_are_refused() -> None:
    with pytest.raises(ValueError, match="1 blocks have 0 partners"):
        quantile_ratio([np.ones(3)], [], 0.99, seed=0)


def test_sides_take_turns_at_being_first() -> None:
    called: list[str] = []
    taken = in_turns({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, range(3))

    assert "".join(called) == "abbaab"
    assert {side: len(seconds) for side, seconds in taken.items()} == {"a": 3, "b": 3}


def answers(latency_s: Float64, failed: int = 0) -> Answers:
    ok = np.arange(len(latency_s)) >= failed
    return Answers(np.arange(len(latency_s), dtype=np.float64), latency_s, ok)


def test_requests_belong_to_the_block_in_which_they_were_due() -> None:
    seen = answers(np.array([0.1, 0.2, 0.3, 0.4]), failed=2).between(1.0, 3.0)

    assert seen.latency_s.tolist() == [0.2, 0.3]
    assert seen.ok.tolist() == [False, True]


def test_the_overhead_is_told_as_ratios_with_its_goals() -> None:
    alone = [slow * np.linspace(0.01, 0.11, 1000) for slow in (1.0, 1.2, 5.0)]
    pairs = [Pair(answers(1.02 * latency_s, failed=5), answers(latency_s)) for latency_s in alone]
    rows = overhead_rows(pairs, Cost(0.031, 0.5), Memory(recwatch_mb=400.0, console_mb=130.0, files_mb=350.0), seed=0)
    judged = {row.metric: (round(row.value, 4), row.met) for row in rows if row.goal}

    assert judged == {
        "p99 watched over alone, 95 % interval, upper end": (1.02, True),
        "answered share of the requests, watched over alone": (0.995, True),
        "CPU of recwatch": (3.1, False),
        "resident memory in all": (530.0, True),
    }
    assert next(row.value for row in rows if row.metric.endswith("3 pairs pooled")) == pytest.approx(1.02)
    assert next(row.value for row in rows if row.metric == "CPU of others beside the pairs") == 50.0


def test_clients_write_down_what_they_saw(tmp_path: Path) -> None:
    """Nobody listens: every request fails, and is there all the same."""
    file = tmp_path / "answers.npy"
    subprocess.run(clients.command("http://127.0.0.1:9", 200.0, 0.5, 3, file), check=True)
    seen = Answers.read(file)

    assert len(seen.due_s) > 50
    assert not seen.ok.any()
    assert 0.0 < np.ptp(seen.due_s) < 1.0


def test_the_monitor_is_given_a_good_configuration(tmp_path: Path) -> None:
    config = parse_config(
        monitor_config("http://127.0.0.1:8080", "cpu", "http://127.0.0.1:8300", tmp_path), "the benchmark's"
    )

    assert (config.api.port, config.console) == (8300, None)
    assert [service.scrape_interval for service in config.services] == [1.0]


def test_pages_differ_in_their_values_only() -> None:
    parser = PageParser()
    first, second = parser.parse(page(120, seed=0)), parser.parse(page(120, seed=1))

    assert first.lines is second.lines
    assert {len(line.labels) for line in first.lines} == {4}
    assert len({tuple(line.labels.items()) for line in first.lines}) == 120
    assert (first.values != second.values).any()
