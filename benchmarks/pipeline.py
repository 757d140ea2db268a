"""What the distributed deployment takes in a second, how old a sample is when it is judged and stored, and how it scales."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.bus import real_broker
from benchmarks.pipeline_detect import detect
from benchmarks.pipeline_drain import drain
from benchmarks.pipeline_fleet import Fleet
from benchmarks.pipeline_live import live
from benchmarks.report import Row

FLEET = Fleet(services=10, targets=2, series=2_500)


def pipeline(out: Console) -> Sequence[Row]:
    """Ten services of two targets of 2,500 series, over a real broker on this machine; every part a process of its own.

    A backlog of 2 M samples a round is taken in turns by the sink and by a bare loop, which polls, reads Arrow, inserts a
    million rows at once into the same tables, and commits: each with an engine of its own, in its process or served.
    CPU is that of a side and its engine, over all rounds. Then every service is published once a second, as soon as its
    scrape begins, to the sink and to a detector worker; the first 20 of 50 s are left out. Detector workers are timed from
    a backlog of 50 ticks of 40 services until all is judged and published; figures are medians.
    """
    with tempfile.TemporaryDirectory(prefix="recwatch-pipeline-") as folder:
        with real_broker() as place:
            rows = [*drain(place, Path(folder), FLEET, out)]
        with real_broker() as place:
            rows += live(place, Path(folder), FLEET, out)
        with real_broker() as place:
            return [*rows, *detect(place, out)]
