"""The command line as people use it: exit codes, one sentence a failure, and `up` as a real process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psutil
import pytest
import yaml
from typer.testing import CliRunner, Result

from cluster.ports import free_ports
from recwatch.app.cli import app
from recwatch.core.store import open_store
from tests.app.shop import assert_whole, stored_answers, watched
from tests.collectors.server import PageServer
from tests.waiting import ENOUGH_S, until

UP = "import sys; from recwatch.app.cli import app; app(['up', sys.argv[1]])"

# Forbids itself files of more than 700 bytes, which fails as a full disk does, once the sink has something to write.
UP_UNTIL_THE_DISK_IS_FULL = """
import resource
from recwatch.core.store.sink import Sink
process = Sink.process
def fill(sink, records, now_ms):
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))
    return process(sink, records, now_ms)
Sink.process = fill
""" + UP.replace("; ", "\n")

# One stage has a bug.
UP_WITH_A_BUG = """
import sys
from alerting.stage import AlertingStage
from recwatch.app.cli import app
def process(stage, records, now_ms):
    if records:
        raise ZeroDivisionError("a bug")
    return ()
AlertingStage.process = process
app(["up", sys.argv[1]])
"""


@pytest.fixture
def content(tmp_path: Path, server: PageServer) -> dict[str, Any]:
    """Scraped so seldom that, while a test lasts, nothing is said of what its page lacks."""
    return watched(tmp_path, server)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def written(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "recwatch.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@contextmanager
def up(folder: Path, content: dict[str, Any], program: str = UP) -> Iterator[subprocess.Popen[str]]:
    """`recwatch up` as a process of its own."""
    command = [sys.executable, "-c", program, str(written(folder, content))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code and lines of standard error."""
    _, said = process.communicate(timeout=ENOUGH_S)
    return process.returncode, said.splitlines()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_good_configuration_is_called_good(tmp_path: Path, content: dict[str, Any]) -> None:
    result = run("check", str(written(tmp_path, content)))
    assert result.exit_code == 0
    assert result.output.endswith("recwatch.yaml: good. 1 service, 1 target.\n")


def test_a_check_looks_at_the_file_that_a_start_would_take(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    assert run("check").output == "recwatch.yaml: good. 1 service, 1 target.\n"


def test_a_check_says_where_the_targets_come_from_that_the_file_does_not_list(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    (tmp_path / "listed.yaml").write_text("- targets: [10.0.0.1:8000]\n")
    content["services"] += [
        {"name": "listed", "file_sd_configs": [{"files": [f"{tmp_path}/*.yaml"]}]},
        {"name": "sent", "receive": ['{job="sent"}']},
    ]
    (tmp_path / "etc").mkdir()
    content["receive_token_file"] = f"{tmp_path}/received"
    result = run("check", str(written(tmp_path / "etc", content)))
    assert result.exit_code == 0
    assert result.output.endswith("3 services, 1 target, more from file_sd_configs and what a Prometheus sends.\n")


def test_a_check_finds_a_pattern_that_fits_no_file(tmp_path: Path, content: dict[str, Any]) -> None:
    content["services"] += [{"name": "listed", "file_sd_configs": [{"files": [f"{tmp_path}/none-*.yaml"]}]}]
    file = written(tmp_path, content)
    result = run("check", str(file))
    assert (result.exit_code, result.stderr) == (1, f"recwatch: {file}: listed: no file matches {tmp_path}/none-*.yaml\n")


def test_a_start_says_where_a_prometheus_sends_to(tmp_path: Path, content: dict[str, Any]) -> None:
    [port], token = free_ports(1), f"{tmp_path}/received"
    received = [{"name": "sent", "receive": ['{job="sent"}']}]
    with up(tmp_path, content | {"services": received, "receive_token_file": token, "api": {"port": port}}) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), "the API answers")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=ENOUGH_S)
    url = f"http://127.0.0.1:{port}"
    assert said.splitlines()[0] == f"recwatch watches 1 service. API {url}"
    assert f"Prometheus's remote_write goes to {url}/api/v1/write, with the token in {token}." in said.splitlines()
    assert any(line.startswith("Nobody is told of incidents: 'notify' names no one.") for line in said.splitlines())


def test_a_wrong_key_is_named_with_its_file_and_the_valid_keys(tmp_path: Path, content: dict[str, Any]) -> None:
    content["services"][0]["objectve"] = 1
    file = written(tmp_path, content)
    for command in ("check", "up"):
        result = run(command, str(file))
        assert result.exit_code == 1
        meant = "Did you mean 'objective'? Valid keys there: authorization, basic_auth, tls_config, name, targets, "
        assert result.stderr.startswith(f"recwatch: {file}: unknown key 'services[0].objectve'. {meant}")
    assert list(tmp_path.iterdir()) == [file]


def test_a_check_says_which_secrets_are_not_there(
    tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_SECRET", raising=False)
    hook = {"type": "webhook", "url": "http://127.0.0.1:9/hook"}
    secrets: tuple[dict[str, str], ...] = ({}, {"secret_env": "SHOP_SECRET"}, {"secret_file": f"{tmp_path}/secret"})
    file = written(tmp_path, content | {"notify": [hook | secret for secret in secrets]})
    result = run("check", str(file))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"recwatch: {file}: notify[1]: webhook: the secret's environment variable SHOP_SECRET is empty; "
        "put the secret there or name no secret",
        f"{file}: notify[2]: webhook: cannot read the secret's file {tmp_path}/secret: No such file or directory",
    ]
    assert list(tmp_path.iterdir()) == [file]


def test_a_check_finds_a_token_that_others_may_read(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("known")
    (tmp_path / "token").chmod(0o644)
    result = run("check", str(written(tmp_path, content)))
    assert result.exit_code == 1
    assert f"The token file {tmp_path}/token is not its user's alone (mode 0644, " in result.stderr


def test_a_check_looks_whether_the_spool_can_be_written_and_makes_nothing(tmp_path: Path, content: dict[str, Any]) -> None:
    file = written(tmp_path, content | {"spool": {"folder": f"{tmp_path}/deep/spool"}})
    assert run("check", str(file)).exit_code == 0
    (tmp_path / "file").write_text("")
    written(tmp_path, content | {"spool": {"folder": f"{tmp_path}/file/spool"}})
    result = run("check", str(file))
    assert result.exit_code == 1
    sentence = f"{tmp_path}/file may not be written; change its mode, or name another in spool.folder"
    assert result.stderr == f"recwatch: {file}: spool {tmp_path}/file/spool: {sentence}\n"
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", file]


def test_a_check_looks_at_what_scrapes_and_receivers_need(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "received").write_text("known")
    (tmp_path / "received").chmod(0o644)
    scraped = {
        "name": "far",
        "static_configs": [{"targets": ["10.0.0.1:8000", "10.0.0.2:8000"]}],
        "authorization": {"credentials_file": f"{tmp_path}/bearer"},
        "http_sd_configs": [{"url": "http://10.0.0.3/targets", "tls_config": {"ca_file": f"{tmp_path}/ca"}}],
    }
    received = {"name": "sent", "receive": ['{job="sent"}']}
    content["services"] += [scraped, received]
    file = written(tmp_path, content | {"receive_token_file": f"{tmp_path}/received"})
    result = run("check", str(file))
    assert result.exit_code == 1
    token, bearer, authority = result.stderr.splitlines()
    assert f"The token file {tmp_path}/received is not its user's alone (mode 0644, " in token
    assert bearer == f"{file}: far: {tmp_path}/bearer, which holds a secret, cannot be read"
    assert authority.startswith(f"{file}: far: the files of tls_config ({tmp_path}/ca) cannot be used: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = run("up", str(tmp_path / "none.yaml"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"recwatch: {tmp_path}/none.yaml: cannot be read (No such file or directory). Give")


def test_an_unknown_command_is_refused() -> None:
    result = run("wach")
    assert result.exit_code == 2
    assert "No such command 'wach'" in result.stderr


@pytest.mark.parametrize("command", [["incidents"], ["incident", "x"], ["explain", "x"], ["proposals"]])
def test_an_api_that_is_away_is_one_sentence(command: list[str]) -> None:
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    result = run(*command, "--url", url)
    assert result.exit_code == 1
    assert result.stderr == (
        f"recwatch: The recwatch API at {url} does not answer; is 'recwatch up' running? "
        "To ask another, give --url, or --config with the file that it was started with.\n"
    )


@pytest.mark.parametrize("command", [["approve", "x"], ["reject", "x"], ["silence", "shop"], ["mark", "shop", "a note"]])
def test_writing_without_a_token_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    result = run(*command, "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"recwatch: The token file {tmp_path}/token cannot be read (No such file or directory).")
    assert result.stderr.count("\n") == 1


def test_ctrl_c_stores_everything_and_ends_the_console_too(
    tmp_path: Path, content: dict[str, Any], server: PageServer
) -> None:
    [console] = free_ports(1)
    with up(tmp_path, content | {"console": {"port": console}}) as process:
        until(lambda: answers(f"http://127.0.0.1:{console}/_stcore/health"), "the console answers")
        until(lambda: len(server.requests) >= 2, "the page is scraped twice")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert (code, said) == (0, [])
    assert psutil.wait_procs(family, timeout=0)[1] == []
    numbers, failed = stored_answers(content)
    assert_whole(numbers, failed)
    assert len(server.requests) - 1 <= len(numbers) + failed
    assert len(numbers) <= len(server.requests)


def test_the_console_does_not_outlive_a_recwatch_that_is_killed(tmp_path: Path, content: dict[str, Any]) -> None:
    [console] = free_ports(1)
    with up(tmp_path, content | {"console": {"port": console}}) as process:
        until(lambda: answers(f"http://127.0.0.1:{console}/_stcore/health"), "the console answers")
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
        process.kill()
        _, left = psutil.wait_procs(family, timeout=ENOUGH_S)
    assert left == []


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_more_signals_do_not_cut_the_stopping_short(
    first: signal.Signals, tmp_path: Path, content: dict[str, Any], server: PageServer
) -> None:
    with up(tmp_path, content) as process:
        until(lambda: len(server.requests) >= 2, "the page is scraped twice")
        process.send_signal(first)
        pause = Event()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            pause.wait(0.02)
        code, said = ended(process)
    assert (code, said) == (0, [])
    numbers, failed = stored_answers(content)
    assert len(numbers) + failed >= len(server.requests) - 1


@pytest.mark.parametrize("setting", ["api", "console"])
def test_a_taken_port_is_one_sentence(setting: str, tmp_path: Path, content: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(tmp_path, content | {setting: {"port": port}}) as process:
            code, said = ended(process)
    assert code == 1
    assert len(said) == 1
    holder = f"process {os.getpid()} ({psutil.Process().name()})"
    sentence = (
        f"cannot listen on 127.0.0.1:{port}: {holder} does. Stop that one, or choose another port with {setting}.port."
    )
    assert said[0].endswith(sentence)


def test_what_a_full_disk_does_not_take_is_said_at_the_end(
    tmp_path: Path, content: dict[str, Any], server: PageServer
) -> None:
    with up(tmp_path, content, UP_UNTIL_THE_DISK_IS_FULL) as process:
        until(lambda: len(server.requests) >= 2, "the page is scraped twice")
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 1
    assert said[-1].startswith(f"recwatch: store {tmp_path}/store: writing failed")
    assert all("disk is full" in line for line in said)
    open_store(content["store"]).close()


def test_a_bug_ends_it_with_everything_stopped(tmp_path: Path, content: dict[str, Any]) -> None:
    [port] = free_ports(1)
    with up(tmp_path, content | {"api": {"port": port}}, UP_WITH_A_BUG) as process:
        code, said = ended(process)
    assert code == 1
    assert "ZeroDivisionError: a bug" in said[-1]
    socket.create_server(("127.0.0.1", port)).close()
    assert_whole(*stored_answers(content))
