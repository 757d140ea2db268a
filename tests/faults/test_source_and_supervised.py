"""What fault runs rest on: pages that are numbered, and processes that are started again."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from pathlib import Path

import httpx

from faults.source import NUMBER, Source
from faults.supervised import Supervised
from recwatch.core.clock import FakeClock
from tests.waiting import until

WAITS = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
ENDS = "print('it is of no use', flush=True); raise SystemExit(3)"


def value(page: str, name: str) -> int:
    [found] = re.findall(rf"^{name}(?:{{.*}})? (\d+)$", page, re.MULTILINE)
    return int(found)


def test_pages_are_numbered_and_known_once_they_were_served_and_requests_fail_when_told_to() -> None:
    clock = FakeClock()
    with closing(Source(["shop", "till"], clock)) as source, httpx.Client(trust_env=False) as client:
        pages = [client.get(source.url("shop")).text, client.get(source.url("shop")).text]
        clock.advance(10.0)
        source.fail("shop")
        clock.advance(10.0)
        pages += [client.get(source.url("shop")).text, client.get(source.url("till")).text]
        until(lambda: len(source.served) == 4, "all pages are known to be served")
        assert [value(page, NUMBER) for page in pages] == [1, 2, 3, 1]
        assert sorted((page.service, page.number) for page in source.served) == [
            *(("shop", n) for n in (1, 2, 3)),
            ("till", 1),
        ]
        assert [value(page, "nv_inference_request_failure") for page in pages] == [0, 0, 600, 0]
        assert [value(page, "nv_inference_request_success") for page in pages] == [0, 0, 3400, 4000]


def test_a_process_that_was_killed_is_started_again_and_that_is_no_crash(tmp_path: Path) -> None:
    process = Supervised("waiter", [sys.executable, "-c", WAITS], tmp_path)
    until(lambda: process.lines, "it has started")
    [first] = process.lines
    process.kill(away_s=0.0)
    until(lambda: process.lines and [*process.lines] != [first], "it was started again")
    process.end()
    assert process.crashes == ["waiter ended with exit code -15: " + process.lines[-1]]  # this one does not heed SIGTERM


def test_a_process_that_ends_by_itself_crashed(tmp_path: Path) -> None:
    process = Supervised("ender", [sys.executable, "-c", ENDS], tmp_path)
    until(lambda: process.crashes, "it has ended")
    process.end()
    assert process.crashes[0] == "ender ended with exit code 3: it is of no use"
