from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from recommender_ref.load import Arrivals, Shape, Tally
from recommender_ref.wire import BadAnswer, Connections

COMMAND = str(Path(sys.executable).parent / "recwatch-recommender")


def times(shape: Shape, until_s: float, factor: float = 1.0, seed: int = 1) -> list[float]:
    arrivals, due, all_due = Arrivals(shape, seed), 0.0, []
    while (due := arrivals.due(due, factor)) < until_s:
        all_due.append(due)
    return all_due


def test_arrivals_are_poisson_and_seeded() -> None:
    shape = Shape(rate=100.0, amplitude=0.0)
    gaps = np.diff(times(shape, 200.0))
    assert 1 / gaps.mean() == pytest.approx(100.0, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)
    assert times(shape, 1.0) == times(shape, 1.0) != times(shape, 1.0, seed=2)


def test_a_surge_multiplies_the_rate() -> None:
    assert len(times(Shape(100.0, amplitude=0.0), 100.0, factor=3.0)) == pytest.approx(30_000, rel=0.02)


def test_the_rate_follows_the_time_of_day() -> None:
    due = np.array(times(Shape(200.0, period_s=100.0, amplitude=0.5), 100.0))
    assert (due < 50.0).sum() / (due >= 50.0).sum() == pytest.approx((1 + 1 / np.pi) / (1 - 1 / np.pi), rel=0.05)


def test_a_few_users_ask_far_more_often() -> None:
    arrivals = Arrivals(Shape(100.0), seed=1, users=1000)
    counts = np.sort(np.bincount([arrivals.user() for _ in range(20_000)], minlength=1000))[::-1]
    assert counts[:100].sum() > 0.3 * counts.sum()
    assert (counts > 0).sum() > 950


def test_a_line_counts_outcomes_and_the_age_of_what_waits() -> None:
    tally = Tally(sent=4)
    for status in (200, 503, None):
        tally.answered(status, 0.1)
    line = tally.line(5, overdue=[3.0])
    assert line == {
        "time_ms": 5,
        "sent": 4,
        "ok": 1,
        "shed": 1,
        "errors": 1,
        "p50_ms": 100.0,
        "p99_ms": 2913.0,
        "max_ms": 3000.0,
    }
    assert Tally().line(5)["p99_ms"] is None


@contextmanager
def server(script: list[bytes | Event]) -> Iterator[int]:
    """Answers every request on every connection with the next of `script`; an event is waited for first."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for step in script:
                if isinstance(step, Event):
                    step.wait(30)
                    continue
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(step)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def ask(port: int, count: int = 1) -> list[tuple[int, bytes]]:
    async def all_of_them() -> list[tuple[int, bytes]]:
        connections = Connections(f"http://127.0.0.1:{port}")
        answers = [await connections.request("GET", "/") for _ in range(count)]
        connections.close()
        return answers

    return asyncio.run(all_of_them())


def test_the_client_reads_answers_and_outlives_a_closed_connection() -> None:
    answer = b"HTTP/1.1 503 Busy\r\ncontent-Length: 4\r\n\r\nbusy"
    with server([answer, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]) as port:
        assert ask(port, count=2) == [(503, b"busy"), (200, b"")]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"nonsense\r\n\r\n"])
def test_an_unreadable_answer_is_bad(answer: bytes) -> None:
    with server([answer]) as port, pytest.raises(BadAnswer):
        ask(port)


def test_a_server_that_is_not_there_is_bad() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(BadAnswer, match="Connect call failed"):
        ask(port)


def test_an_address_that_is_none_is_refused_with_a_sentence() -> None:
    done = subprocess.run([COMMAND, "load", "--url", "shop"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "The server's address is 'shop'; give one such as http://127.0.0.1:8080\n")


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, float]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()


def test_serve_load_stall_and_stop() -> None:
    """The real service under the real load: steady, then stopped in its tracks, then asked to end."""
    with command("serve", "--port", "0", "--depth", "1", "--device", "cpu") as service:
        assert service.stdout is not None
        ready = service.stdout.readline()
        found = re.match(r"ready: (http://127\.0\.0\.1:(\d+))/recommend", ready)
        assert found, ready
        taken = subprocess.run(
            [COMMAND, "serve", "--port", found[2]], capture_output=True, text=True, timeout=60, check=False
        )
        assert taken.returncode == 1
        assert (
            taken.stderr == f"Cannot listen on 127.0.0.1:{found[2]}: Address already in use. Choose another with --port.\n"
        )
        with command("load", "--url", found[1], "--rate", "50", "--duration", "60") as load:
            lines = lines_of(load)
            steady = next(line for line in lines if line["ok"] > 0)
            assert steady["shed"] == steady["errors"] == 0
            os.kill(service.pid, signal.SIGSTOP)
            stalled = next(line for line in lines if line["ok"] == 0 and (line["max_ms"] or 0) > 2000)
            assert stalled["sent"] > 0
            assert stalled["p50_ms"] > 1000
            os.kill(service.pid, signal.SIGCONT)
            mended = next(line for line in lines if line["ok"] > 0)
            assert mended["max_ms"] > 2000
            load.send_signal(signal.SIGTERM)
            *_, summary = lines
            assert summary["summary"] is True
            assert summary["sent"] >= summary["ok"] > 0
            assert load.wait(10) == 0
        service.send_signal(signal.SIGTERM)
        assert service.wait(10) == 0
