"""The Redis exporter (oliver006/redis_exporter), where Redis holds features or answers.

Its commands are not requests of the service, and its clients are the service's own processes: neither is a canonical signal.
"""

from __future__ import annotations

from collectors.normalise.rules import Table, rule

REDIS = Table(
    (
        rule("redis_keyspace_hits", "cache_hits"),
        rule("redis_keyspace_misses", "cache_misses"),
        rule("redis_evicted_keys", "cache_evictions"),
        rule("redis_memory_used_bytes", "cache_memory_bytes"),
    ),
    marks=("redis_*",),
)
