"""Pushing dashboards, to a server that answers as Grafana's API is documented to; no real Grafana runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dashboards.grafana import documents
from recwatch.app.cli import app
from tests.collectors.server import PageServer, page, raw, serving

API = "/api/dashboards/db"
TOKEN = "glsa_secret"


class Grafana:
    """Keeps dashboards by UID and answers what the documentation of the call says."""

    def __init__(self, server: PageServer) -> None:
        self.url = server.url("")
        self.kept: dict[str, dict[str, Any]] = {}
        server.answers[API] = self.answer

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        board = asked["dashboard"]
        said: dict[str, object]
        if handler.headers["Authorization"] != f"Bearer {TOKEN}":
            said, status = {"message": "Invalid API key"}, 401
        elif asked.get("folderUid") == "none":
            said, status = {"message": "folder not found"}, 400
        elif board["uid"] in self.kept and not asked["overwrite"]:
            said, status = {"message": "version-mismatch", "status": "version-mismatch"}, 412
        else:
            self.kept[board["uid"]] = asked
            said, status = {"id": 1, "uid": board["uid"], "url": f"/d/{board['uid']}/recwatch", "status": "success"}, 200
        raw(json.dumps(said).encode(), {"Content-Type": "application/json"}, status)(handler)


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with serving() as server:
        yield Grafana(server)


def push(*arguments: str, token: str = TOKEN) -> Result:
    return CliRunner(env={"RECWATCH_GRAFANA_TOKEN": token}).invoke(app, ["dashboards", "push", *arguments])


def test_a_push_creates_the_dashboard_and_another_replaces_it(grafana: Grafana) -> None:
    for _ in range(2):
        result = push(f"{grafana.url}/", "--folder", "sre")
        assert (result.exit_code, result.output) == (0, f"{grafana.url}/d/recwatch/recwatch\n")
    asked = grafana.kept["recwatch"]
    assert asked["folderUid"] == "sre"
    assert asked["dashboard"] == {**json.loads(documents()["recwatch.json"]), "id": None}


def test_a_token_comes_from_a_file_too(grafana: Grafana, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert push(grafana.url, "--token-file", str(tmp_path / "token"), token="").exit_code == 0


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        ((), "wrong", "refuses the token (401). Give one of a service account that may write dashboards"),
        ((), "", "The environment's RECWATCH_GRAFANA_TOKEN holds no token of Grafana. Put one there, or give --token-file."),
        (("--folder", "none"), TOKEN, "refuses the dashboard (400): folder not found."),
    ],
)
def test_what_is_refused_is_said_with_what_to_do(grafana: Grafana, options: tuple[str, ...], token: str, said: str) -> None:
    result = push(grafana.url, *options, token=token)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "wrong" not in result.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "Grafana at http://127.0.0.1:1 does not answer (ConnectError). Is it running there?"),
        ("grafana.example", "'grafana.example' cannot be asked"),
        ("http://127.0.0.1:here", "'http://127.0.0.1:here' cannot be asked"),
    ],
)
def test_an_address_where_no_grafana_is_is_one_sentence(url: str, said: str) -> None:
    result = push(url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert said in result.stderr


def test_what_answers_something_else_is_called_no_grafana(grafana: Grafana) -> None:
    with serving() as server:
        server.answers[API] = page("hello")
        result = push(server.url(""))
    assert "is no Grafana; give its address" in result.stderr


def test_a_build_says_what_to_scrape_and_how_to_load_the_files(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["dashboards", "build", "--out", str(tmp_path)])
    assert result.stdout == f"{tmp_path}/recwatch.json\n"
    assert 'targets: ["127.0.0.1:8300"]' in result.stderr
    assert "recwatch dashboards push" in result.stderr
