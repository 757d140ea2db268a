"""Who may ask the API, and the token that says so."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from recwatch.app.access import keep_token, refusal
from recwatch.core.errors import BadInput
from tests.app.world import AUTH, TOKEN, World


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("GET", {}, None),
        ("GET", {"origin": "http://127.0.0.1:8300"}, None),
        ("GET", {"host": "evil.example"}, 421),
        ("GET", {"host": "127.0.0.1.evil.example:8300"}, 421),
        ("GET", {"host": "127.0.0.1@evil.example"}, 421),
        ("GET", {"host": ""}, 421),
        ("GET", {"host": "["}, 421),
        ("GET", {"origin": "http://127.0.0.1:9999"}, 403),
        ("GET", {"origin": "null"}, 403),
        ("POST", {}, None),
        ("POST", {"content-type": "application/json; charset=utf-8"}, None),
        ("POST", {"content-type": "text/plain"}, 415),
        ("POST", {"content-type": ""}, 415),
        ("POST", {"authorization": "Bearer wrong"}, 401),
        ("POST", {"authorization": "Bearer " + "é"}, 401),
        ("POST", {"authorization": ""}, 401),
        ("DELETE", {"authorization": ""}, 401),
    ],
)
def test_who_may_ask(method: str, changed: dict[str, str], status: int | None) -> None:
    usual = {"host": "127.0.0.1:8300", "authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    refused = refusal(method, usual | changed, TOKEN)
    assert (refused.status if refused else None) == status


def test_the_guard_stands_before_every_route(world: World) -> None:
    for path in ("/api/services", "/metrics", "/openapi.json", "/nothing"):
        assert world.http.get(path, headers={"Host": "evil.example"}).status_code == 421
    assert world.http.post("/api/marks", json={}).status_code == 401
    assert world.http.post("/api/marks", content="{}", headers=AUTH | {"Content-Type": "text/plain"}).status_code == 415


def test_the_token_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "run" / "token"
    token = keep_token(path)
    assert len(token) > 40
    assert path.read_text() == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_kept_from_start_to_start_unless_it_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = keep_token(path)
    assert keep_token(path) == token
    path.write_text("\n")
    assert keep_token(path) not in ("", token)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_token_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(mode)
    with pytest.raises(BadInput, match=rf"is not its user's alone \(mode {mode:04o}, .+ Remove it: the next"):
        keep_token(path)
    assert path.read_text() == "old"


def test_a_token_that_is_shared_may_be_read_by_its_group_and_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("theirs\n")
    path.chmod(0o640)
    assert keep_token(path, shared=True) == "theirs"
    for mode in (0o644, 0o660):
        path.chmod(mode)
        with pytest.raises(BadInput, match=f"mode {mode:04o}"):
            keep_token(path, shared=True)


def test_processes_that_start_together_keep_one_token(tmp_path: Path) -> None:
    for attempt in range(20):
        path, together = tmp_path / f"token-{attempt}", Barrier(4)

        def start(path: Path = path, together: Barrier = together) -> str:
            together.wait()
            return keep_token(path)

        with ThreadPoolExecutor(4) as processes:
            tokens = {started.result() for started in [processes.submit(start) for _ in range(4)]}
        assert tokens == {path.read_text()}
