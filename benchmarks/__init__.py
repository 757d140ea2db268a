"""Turns the parts into figures: how fast they are, what they cost, and how they compare.

`BENCHMARKS` is the registry: a new benchmark is one file and one line here. Its docstring says how it measures.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.backfill import backfill
from benchmarks.bus import bus
from benchmarks.detect_calibration import detect_calibration
from benchmarks.detect_equal_load import detect_equal_load
from benchmarks.detect_load import detect_load
from benchmarks.detect_load_parts import detect_load_parts
from benchmarks.detect_plan import detect_plan
from benchmarks.detect_quality import detect_quality
from benchmarks.detect_size import detect_size
from benchmarks.detect_speed import detect_speed
from benchmarks.fleet import fleet
from benchmarks.overhead import Overhead
from benchmarks.pipeline import pipeline
from benchmarks.report import Benchmark
from benchmarks.scrape import scrape
from benchmarks.spool import spool
from benchmarks.store import StoreBenchmark

BENCHMARKS: Mapping[str, Benchmark] = {
    "overhead": Overhead(),
    "detect_speed": detect_speed,
    "detect_plan": detect_plan,
    "detect_quality": detect_quality,
    "detect_load": detect_load,
    "detect_load_parts": detect_load_parts,
    "detect_equal_load": detect_equal_load,
    "detect_size": detect_size,
    "detect_calibration": detect_calibration,
    "scrape": scrape,
    "fleet": fleet,
    "backfill": backfill,
    "bus": bus,
    "spool": spool,
    "pipeline": pipeline,
    "store": StoreBenchmark(samples=10_000_000),
    "store_large": StoreBenchmark(samples=100_000_000),
}
