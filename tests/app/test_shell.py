"""What an SRE types, against the real API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner, Result

from recwatch.app.cli import app as cli
from recwatch.app.shell import app
from recwatch.core.canonical import canonical_series
from recwatch.core.clock import FakeClock
from recwatch.core.events import Evidence, Mark, RankedCause, Silence, event_id
from recwatch.core.signals import SeriesSet
from tests.app.world import TOKEN, World
from tests.dashboards.story import SERVICE, proposal, surge_incident

NOW_MS = FakeClock().now_ms()
RED = "\x1b[31mred"


class Shell:
    """Runs commands against one API."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._token_file = folder / "token"
        self._token_file.write_text(TOKEN)

    def ask(self, *command: str, columns: int = 300) -> str:
        """What a command prints on a terminal of this width."""
        result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*command, "--url", self.world.url])
        assert result.exit_code == 0, result.exception
        return result.output

    def tell(self, *command: str) -> str:
        return self.ask(*command, "--token-file", str(self._token_file))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with World(FakeClock()) as world:
        yield Shell(world, tmp_path)


def test_what_is_explained_needs_no_service_where_one_alone_has_it(shell: Shell) -> None:
    shell.world.watched.append("recwatch")
    shell.world.live.take(SeriesSet("news", (canonical_series("news", "queue_depth"),)))
    key = 'queue_depth{service="shop"}'
    for named in (("cache_hit_ratio",), (key,), ("queue_depth", "--service", SERVICE)):
        assert 'service="shop"' in shell.ask("explain", *named).splitlines()[0]
    refused = CliRunner().invoke(app, ["explain", "queue_depth", "--url", shell.world.url])
    assert f"'queue_depth' fits 2 series; give one of their keys: {key}" in str(refused.exception)


def test_a_silence_needs_no_reason_and_can_be_ended(shell: Shell) -> None:
    subscription = shell.world.bus.subscribe("reader", ("silences",))
    said = shell.tell("silence", SERVICE)
    assert said.startswith("shop is silenced until ")
    (made,) = (record.message for record in subscription.poll(0.0))
    assert isinstance(made, Silence)
    assert (made.why, made.end_ms) == ("", NOW_MS + 3_600_000)

    shell.world.live.take(made)
    assert said.split()[-1] == made.id
    assert shell.tell("unsilence", made.id) == f"shop is no longer silenced by {made.id}.\n"
    (ended,) = (record.message for record in subscription.poll(0.0))
    assert (ended.id, ended.end_ms) == (made.id, NOW_MS)
    assert ended.why.startswith("ended by ")


@pytest.mark.parametrize(
    ("option", "kind"), [((), "note"), (("--kind", "deploy"), "deploy"), (("--kind", "restart"), "restart")]
)
def test_a_mark_has_a_kind(shell: Shell, option: tuple[str, ...], kind: str) -> None:
    subscription = shell.world.bus.subscribe("reader", ("marks",))
    shell.tell("mark", SERVICE, "ranker 3", *option)
    assert [record.message.kind for record in subscription.poll(0.0)] == [kind]


def test_incidents_show_severity_and_the_date_of_another_day(shell: Shell) -> None:
    (row,) = (line for line in shell.ask("incidents").splitlines() if "inc-1" in line)
    assert "page" in row
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row)


def test_an_incident_that_is_over_is_not_said_to_last(shell: Shell) -> None:
    assert "  open  page  since " in shell.ask("incidents")
    over = replace(surge_incident(NOW_MS - 90_000), state="resolved", end_ms=NOW_MS)
    shell.world.live.take(replace(over, history=over.history * 2))
    for shown in (shell.ask("incidents"), shell.ask("incident", "inc-1")):
        assert "resolved" in shown
        assert "since" not in shown
        assert re.search(r"\d\d:\d\d:\d\d to .*\d\d:\d\d:\d\d", shown)


def test_a_service_that_is_not_watched_is_said_not_to_be(shell: Shell) -> None:
    result = CliRunner().invoke(app, ["incidents", "--service", "shpo", "--url", shell.world.url])
    assert "No service is called 'shpo'; there are: shop." in str(result.exception)


def test_an_incident_names_its_causes_as_they_are_said(shell: Shell) -> None:
    assert re.search(r"^load surge, \d+ % sure$", shell.ask("incident", "inc-1"), re.MULTILINE)


def test_an_incident_tells_its_shift(shell: Shell) -> None:
    assert "\nshift\n  p99 latency changed from 31 ms to " in shell.ask("incident", "inc-1")


def test_ids_are_whole_on_a_narrow_terminal(shell: Shell) -> None:
    id_ = event_id("incident", SERVICE, 1)
    shell.world.live.take(replace(surge_incident(NOW_MS), id=id_, service="recommender-eu-west-1"))
    shell.world.live.take(replace(proposal(NOW_MS), id=id_, service="recommender-eu-west-1", knob="batch_delay_ms"))
    for command in ("incidents", "proposals"):
        head, *below = shell.ask(command, columns=60).splitlines()
        assert head.split()[0] == id_
        assert all(len(line) <= 60 for line in below if line.startswith("    "))


def test_text_from_outside_cannot_paint_the_terminal(shell: Shell) -> None:
    old = surge_incident(NOW_MS - 15_000)
    cause = RankedCause(old.cause, 0.9, (Evidence(RED),))
    step = replace(old.history[0], why=RED, by=RED)
    mark = Mark.of(SERVICE, "note", NOW_MS, RED, by=RED)
    shell.world.live.take(replace(old, title=RED, causes=(cause,), marks=(mark,), history=(step,), shifts=(Evidence(RED),)))
    shell.world.live.take(replace(proposal(NOW_MS), reason=RED))
    for command in (["incidents"], ["incident", "inc-1"], ["proposals"]):
        shown = shell.ask(*command)
        assert "·[31mred" in shown
        assert "\x1b" not in shown


def configured(folder: Path, port: int) -> Path:
    file = folder / "watch.yaml"
    service = {"name": SERVICE, "targets": ["http://127.0.0.1:9/metrics"]}
    file.write_text(yaml.safe_dump({"services": [service], "api": {"port": port}, "token_file": str(folder / "token")}))
    return file


def run(*command: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(cli, list(command))


def test_the_configuration_says_where_the_api_is_and_where_its_token(shell: Shell, tmp_path: Path) -> None:
    file = configured(tmp_path, httpx.URL(shell.world.url).port or 0)
    assert "inc-1" in run("incidents", "--config", str(file)).output
    assert run("mark", SERVICE, "a note", "--config", str(file)).output.startswith("Marked shop at ")


def test_a_configuration_that_lies_here_counts_without_being_named(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, httpx.URL(shell.world.url).port or 0).rename(tmp_path / "recwatch.yaml")
    monkeypatch.chdir(tmp_path)
    assert "inc-1" in run("incidents").output


def test_the_url_wins_over_a_configuration_even_over_a_bad_one(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recwatch.yaml").write_text("servces: []")
    monkeypatch.chdir(tmp_path)
    assert "inc-1" in run("incidents", "--url", shell.world.url).output
    assert "recwatch.yaml: key 'services' is missing" in run("incidents").stderr


def test_a_port_that_each_start_chooses_has_to_be_said(tmp_path: Path) -> None:
    file = configured(tmp_path, 0)
    assert run("incidents", "--config", str(file)).stderr == (
        f"recwatch: {file} lets each start choose a port (api.port: 0). Give --url; the start said it.\n"
    )
