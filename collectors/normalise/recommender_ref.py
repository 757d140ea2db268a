"""The reference recommender's metrics: names begin with `recommender_`, in base units throughout."""

from __future__ import annotations

from collectors.normalise.rules import Table, histogram, rule

RECOMMENDER_REF = Table(
    (
        rule("recommender_requests", "requests", where={"outcome": ("ok",)}),
        rule("recommender_requests", ("requests", "requests_failed"), where={"outcome": ("shed", "error")}),
        histogram("recommender_request_seconds", "latency_seconds"),
        *(
            histogram(f"recommender_{stage}_seconds", "stage_seconds", fixed={"stage": stage})
            for stage in ("queue", "recall", "rank", "rerank")
        ),
        histogram("recommender_batch_size", "batch_size"),
        histogram("recommender_batch_seconds", "batch_seconds"),
        rule("recommender_replica_busy_seconds", "replica_busy_seconds"),
        rule("recommender_replicas", "replicas"),
        rule("recommender_queue_depth", "queue_depth"),
        rule("recommender_cache_lookups", "cache_hits", where={"result": ("hit",)}),
        rule("recommender_cache_lookups", "cache_misses", where={"result": ("miss",)}),
        rule("recommender_shadow_quality_ratio", "answer_quality_ratio"),
        rule("recommender_model_info", "model_info", labels={"version": "version", "variant": "variant"}),
    ),
    marks=("recommender_requests_total",),
)
