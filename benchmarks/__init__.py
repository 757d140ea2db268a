"""Turns the parts into figures: how fast they are, what they cost, and how they compare.

`BENCHMARKS` is the registry: a new benchmark is one file and one line here. Its docstring says how it measures.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.backfill import backfill
from benchmarks.detect_speed import detect_speed
from benchmarks.overhead import Overhead
from benchmarks.report import Benchmark
from benchmarks.scrape import scrape
from benchmarks.store import StoreBenchmark

BENCHMARKS: Mapping[str, Benchmark] = {
    "overhead": Overhead(),
    "detect_speed": detect_speed,
    "scrape": scrape,
    "backfill": backfill,
    "store": StoreBenchmark(samples=10_000_000),
    "store_large": StoreBenchmark(samples=100_000_000),
}
