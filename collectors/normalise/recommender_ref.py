"""The reference recommender's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collectors.exposition import Line
from collectors.measures import Measure, Quantity, latency_bucket

_OUTCOMES: Mapping[str, Quantity] = {"ok": "requests_ok", "shed": "requests_failed", "error": "requests_failed"}
_LOOKUPS: Mapping[str, Quantity] = {"hit": "cache_hits", "miss": "cache_misses"}
_PLAIN: Mapping[str, Quantity] = {
    "recommender_request_seconds_sum": "latency_seconds_sum",
    "recommender_request_seconds_count": "latency_seconds_count",
    "recommender_batch_size_sum": "batch_size_sum",
    "recommender_batch_size_count": "batch_size_count",
    "recommender_batch_seconds_sum": "batch_seconds_sum",
    "recommender_batch_seconds_count": "batch_seconds_count",
    "recommender_replica_busy_seconds_total": "replica_busy_seconds",
    "recommender_queue_depth": "queue_depth",
    "recommender_replicas": "replicas",
    "recommender_shadow_quality_ratio": "answer_quality_ratio",
}
_STAGE_QUANTITIES: Mapping[str, Quantity] = {"sum": "stage_seconds_sum", "count": "stage_seconds_count"}
_STAGES: Mapping[str, Measure] = {
    f"recommender_{stage}_seconds_{suffix}": Measure(quantity, (("stage", stage),))
    for stage in ("queue", "recall", "rank", "rerank")
    for suffix, quantity in _STAGE_QUANTITIES.items()
}


class RecommenderRef:
    """Names begin with `recommender_`; base units throughout."""

    blanks: tuple[float, ...] = ()

    def recognises(self, name: str) -> bool:
        return name == "recommender_requests_total"

    def measures(self, lines: Sequence[Line]) -> Sequence[Measure | None]:
        return [_measure(line) for line in lines]


def _measure(line: Line) -> Measure | None:
    match line.name:
        case "recommender_requests_total":
            quantity = _OUTCOMES.get(line.labels.get("outcome", ""))
        case "recommender_cache_lookups_total":
            quantity = _LOOKUPS.get(line.labels.get("result", ""))
        case "recommender_request_seconds_bucket":
            return latency_bucket(line.labels.get("le", ""))
        case "recommender_model_info":
            return Measure("model_info", tuple((name, line.labels.get(name, "")) for name in ("variant", "version")))
        case name:
            quantity = _PLAIN.get(name)
    return _STAGES.get(line.name) if quantity is None else Measure(quantity)
