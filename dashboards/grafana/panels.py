"""What stands on the Grafana dashboard: rows of panels, each with its queries. A panel is text; `build` turns it into JSON.

The queries read recwatch's own `/metrics`; `$service` is the dashboard's variable.
"""

from __future__ import annotations

from typing import NamedTuple


class Query(NamedTuple):
    """A PromQL expression and what its lines are called."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel. `unit` is a unit of Grafana."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    help: str = ""


class Row(NamedTuple):
    """A titled row of panels."""

    title: str
    panels: tuple[Panel, ...]


def _signal(name: str, legend: str) -> Query:
    return Query(f'recwatch_{name}{{service=~"$service"}}', legend)


def _banded(title: str, name: str, unit: str, legend: str = "{{service}}") -> Panel:
    """A signal between the edges of its band."""
    of = f'{{service=~"$service",signal="{name}"}}'
    return Panel(
        title,
        unit,
        (
            _signal(name, legend),
            Query(f"recwatch_lower{of}", f"{legend} lower"),
            Query(f"recwatch_upper{of}", f"{legend} upper"),
        ),
        "The line is measured; lower and upper bound what was expected.",
    )


GPU = "{{service}} GPU {{gpu}}"
DISK = "{{service}} {{host}} {{mountpoint}}"

ROWS = (
    Row(
        "Traffic, errors, latency",
        (
            _banded("Requests", "requests_per_second", "reqps"),
            _banded("Errors", "errors_ratio", "percentunit"),
            _banded("p99 latency", "latency_p99_seconds", "s"),
            Panel(
                "Latency",
                "s",
                (
                    _signal("latency_p50_seconds", "{{service}} p50"),
                    _signal("latency_p95_seconds", "{{service}} p95"),
                    _signal("latency_p99_seconds", "{{service}} p99"),
                ),
            ),
            Panel("Time per stage", "s", (_signal("stage_latency_mean_seconds", "{{service}} {{stage}}"),)),
            _banded("Answer quality", "answer_quality_ratio", "percentunit"),
        ),
    ),
    Row(
        "Saturation",
        (
            _banded("Queue depth", "queue_depth", "short"),
            _banded("Time in the queue", "queue_wait_mean_seconds", "s"),
            _banded("Batch size", "batch_size_mean", "short"),
            _banded("Time per batch", "batch_duration_mean_seconds", "s"),
            Panel("Replicas", "short", (_signal("replicas", "{{service}}"),)),
            Panel("Replicas busy", "percentunit", (_signal("replicas_busy_ratio", "{{service}}"),)),
            Panel("Cache hits", "percentunit", (_signal("cache_hit_ratio", "{{service}}"),)),
            Panel("CPU busy", "percentunit", (_signal("host_cpu_busy_ratio", "{{service}}"),)),
            Panel("Memory available", "bytes", (_signal("host_memory_available_bytes", "{{service}}"),)),
            Panel("Disk space available", "bytes", (_signal("host_filesystem_available_bytes", DISK),)),
            Panel(
                "Time left",
                "s",
                (Query('recwatch_exhaustion_seconds{service=~"$service"}', f"{DISK} {{{{gpu}}}} {{{{signal}}}}"),),
                "Until memory, GPU memory or a disk is used up if its trend goes on. What does not run out is not drawn.",
            ),
        ),
    ),
    Row(
        "GPU",
        (
            _banded("GPU busy", "gpu_busy_ratio", "percentunit", GPU),
            _banded("SM clock", "gpu_sm_clock_hertz", "hertz", GPU),
            Panel("Clocks held down", "percentunit", (_signal("gpu_throttled_ratio", GPU),)),
            Panel("Memory used", "bytes", (_signal("gpu_memory_used_bytes", GPU),)),
            Panel("Power", "watt", (_signal("gpu_power_watts", GPU),)),
            Panel("Temperature", "celsius", (_signal("gpu_temperature_celsius", GPU),)),
        ),
    ),
    Row(
        "recwatch",
        (
            Panel("Open incidents", "short", (_signal("incidents_open", "{{service}} {{cause}} {{severity}}"),)),
            Panel(
                "Highest scores",
                "short",
                (
                    Query(
                        'topk(10, max by (service, signal, gpu) (recwatch_score{service=~"$service"}))',
                        "{{service}} {{signal}} {{gpu}}",
                    ),
                ),
                "0 is as expected, 1 is the edge of alarm.",
            ),
            Panel("Open anomalies", "short", (_signal("anomalies_open", "{{service}}"),)),
            Panel("Proposals", "short", (_signal("proposals", "{{service}} {{state}}"),)),
            Panel("Targets up", "percentunit", (_signal("targets_up_ratio", "{{service}}"),)),
            Panel("Targets down", "short", (Query('recwatch_target_up{service=~"$service"} == 0', "{{service}} {{url}}"),)),
        ),
    ),
)
