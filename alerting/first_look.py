"""Cause → where a person paged at night looks first."""

from __future__ import annotations

from collections.abc import Mapping

from recwatch.core.events import Cause

FIRST_LOOK: Mapping[Cause, str] = {
    Cause.LOAD_SURGE: "Is the traffic wanted? If so add capacity or batch more; if not, shed it at the edge.",
    Cause.CAPACITY: "Add replicas or batch more: the service is busy all the time at a load that is not unusual.",
    Cause.BATCHING_MISFIT: "Look at the batch size limit and the batch wait: requests wait while replicas are free.",
    Cause.SLOW_VERSION: "Compare the new version with the one before it, and roll back if nothing else explains the time.",
    Cause.CACHE_MISS_STORM: "Was the cache flushed, resized, or its key changed? Warm it up or take load off meanwhile.",
    Cause.GPU_THROTTLING: "Look at temperature, power cap and clock locks of the GPU; more load on it will not help.",
    Cause.GPU_FAULT: "Look for Xid and ECC errors in the kernel log; drain the GPU before restarting anything.",
    Cause.DEAD_BUT_BUSY: "Restart the model server: its GPU works but no answers come out.",
    Cause.MEMORY_PRESSURE: "See which process grows, and free memory before the kernel chooses a victim.",
    Cause.DISK_PRESSURE: "See what grows on that file system, and make room or rotate it away before more writes fail.",
    Cause.HOST_BOUND: "See what else runs on the host's cores; the GPU is waiting for them.",
    Cause.BAD_REPLICA: "Take the odd replica out of rotation and compare it with its siblings.",
    Cause.QUALITY_LOSS: "Look at the last model, feature and index change; the answers got worse, not slower.",
    Cause.TELEMETRY_LOSS: "Check that the targets run and can be reached; until then recwatch is blind here.",
    Cause.MONITOR_BEHIND: "See whether that role of recwatch runs and keeps up; until it does, alarms come late or never.",
    Cause.UNKNOWN: "No known pattern fits; start from the evidence in the console.",
}
