"""Causes in what the service runs on: the GPU, the host, and the telemetry that tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alerting.rules.finding import Finding
from alerting.view import View
from recwatch.core.canonical import SIGNALS
from recwatch.core.events import Evidence
from recwatch.core.targets import TargetState
from recwatch.core.wording import figure

MOST_NAMED = 4
_SLOWED = ("batch_duration_mean_seconds", "requests_per_second", "queue_depth")


def gpu_throttling(view: View) -> Finding | None:
    """Clocks are held down while there is work. An idle GPU lowers its clock by itself."""
    slower_clock = view.ratio("gpu_sm_clock_hertz") <= 0.9
    held_down = view.rise("gpu_throttled_ratio") >= 0.2
    busy = view.now("gpu_busy_ratio")
    idle = busy is not None and busy < 0.3
    if not held_down and (idle or not slower_clock):
        return None
    seen = view.evidence("gpu_sm_clock_hertz", "gpu_throttled_ratio", "gpu_temperature_celsius", "gpu_power_watts", *_SLOWED)
    return Finding(0.95 if slower_clock and held_down else 0.8, seen)


_OF_THE_APPLICATION = (13, 31, 43, 45)
"""Errors (XID) that a program's own mistake raises on sound hardware, by NVIDIA's list."""
_DAMAGE = ("gpu_ecc_uncorrected_errors", "gpu_rows_remapped", "gpu_row_remap_failed")


def gpu_fault(view: View) -> Finding | None:
    """The GPU says that it is damaged; or its readings stopped for five seconds, while the targets that tell them are up."""
    xid = view.now("gpu_xid_code")
    failed = xid is not None and xid not in _OF_THE_APPLICATION and view.rise("gpu_xid_code") != 0 and xid > 0
    damaged = [name for name in _DAMAGE if view.rise(name) > 0]
    if failed or damaged:
        return Finding(0.99, view.evidence(*(["gpu_xid_code"] if failed else []), *damaged))
    gone = [name for name, r in view.readings.items() if name.startswith("gpu_") and r.now is None and r.before is not None]
    if not gone or view.until_ms - view.start_ms < 5_000 or view.rise("targets_up_ratio") < 0:
        return None
    return Finding(0.8, view.evidence(*gone, "targets_up_ratio"))


_WORK = ("requests_per_second", "prompt_tokens_per_second", "generated_tokens_per_second")


def dead_but_busy(view: View) -> Finding | None:
    """Hardly any work is done, yet the GPU or the replicas work flat out; or the GPU says so and draws too little for it.

    A kernel that hangs counts as busy. A server of long answers is at work while tokens flow, though no request ends.
    """
    if max(view.now("gpu_busy_ratio") or 0.0, view.now("replicas_busy_ratio") or 0.0) < 0.9:
        return None
    done = [view.ratio(name) for name in _WORK if name in view.readings]
    left = max(done, default=1.0)
    powerless = _powerless(view)
    if left > (0.5 if powerless else 0.2):
        return None
    seen = view.evidence(*_WORK, "gpu_busy_ratio", "replicas_busy_ratio", *(["gpu_power_watts"] if powerless else []))
    return Finding(0.95 if left <= 0.2 else 0.85, seen + view.evidence("queue_depth"))


def _powerless(view: View) -> bool:
    """Whether the GPU draws three fifths or less of what it drew when it was no busier, and its clock is not held down."""
    busy, power = view.readings.get("gpu_busy_ratio"), view.readings.get("gpu_power_watts")
    if busy is None or power is None or busy.now is None or busy.before is None or busy.of != power.of:
        return False
    held_down = view.ratio("gpu_sm_clock_hertz") <= 0.9 or view.rise("gpu_throttled_ratio") >= 0.2
    return busy.now >= max(0.9, busy.before - 0.05) and power.ratio <= 0.6 and not held_down


def memory_pressure(view: View) -> Finding | None:
    """The host has less than 1 GiB left, and less than a third of what it had, or abnormally little."""
    memory = "host_memory_available_bytes"
    return Finding(0.6, view.evidence(memory, "gpu_memory_used_bytes")) if _short_of(view, memory, 2.0**30) else None


def disk_pressure(view: View) -> Finding | None:
    """A file system has less than 256 MiB left, and less than a third of what it had, or was told to run out of space."""
    space = "host_filesystem_available_bytes"
    return Finding(0.6, view.evidence(space)) if _short_of(view, space, 2.0**28) else None


def _short_of(view: View, resource: str, least: float) -> bool:
    left = view.now(resource)
    return left is not None and left < least and (view.ratio(resource) < 0.33 or resource in view.anomalous)


def host_bound(view: View) -> Finding | None:
    """The host's cores are all taken, newly so, while the GPU is not. Weak: whatever else slows a service does this too."""
    cpu, gpu = view.now("host_cpu_busy_ratio"), view.now("gpu_busy_ratio")
    if cpu is None or gpu is None or cpu < 0.95 or gpu > 0.6 or view.rise("host_cpu_busy_ratio") < 0.2:
        return None
    return Finding(0.3, view.evidence("host_cpu_busy_ratio", "gpu_busy_ratio", "queue_depth"))


def telemetry_loss(view: View) -> Finding | None:
    """A twentieth or more of the targets answers scrapes no more; the more of them, the surer.

    What was before is not known right after a start: then all should answer. Lost targets explain what is not measured any
    more, never what users feel in a signal that still is.
    """
    down = targets_down(view)
    if not down or any(_felt_and_measured(view, name) for name in view.anomalous):
        return None
    return Finding(0.5 + 0.45 * min(1.0, _lost(view)), down)


def targets_down(view: View) -> tuple[Evidence, ...]:
    """In words, the share of targets that still answer, and which do not; empty where less than a twentieth is lost."""
    up = view.readings.get("targets_up_ratio")
    if up is None or up.now is None or _lost(view) < 0.05:
        return ()
    against = "all should" if up.before is None else f"were {figure(up.before, up.unit)}"
    said = f"targets down: {figure(up.now, up.unit)} answer, {against}"
    return (Evidence(said, up.series, up.now, 1.0 if up.before is None else up.before), *_named(view.down))


def _lost(view: View) -> float:
    up = view.readings.get("targets_up_ratio")
    return 0.0 if up is None or up.now is None else (1.0 if up.before is None else up.before) - up.now


def _felt_and_measured(view: View, name: str) -> bool:
    return name in SIGNALS and SIGNALS[name].user_facing and view.now(name) is not None


def _named(down: Sequence[TargetState]) -> Iterator[Evidence]:
    """Which targets are down, and of what."""
    for target in down[:MOST_NAMED]:
        yield Evidence(target.error if target.url in target.error else f"{target.url.rstrip(':')}: {target.error}")
    if len(down) > MOST_NAMED:
        yield Evidence(f"and {len(down) - MOST_NAMED} more targets")
