"""What the service measures of itself, as Prometheus metrics in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recommender_ref.knobs import Knobs

LATENCY_BUCKETS = tuple(float(f"{0.001 * 1.25**power:.3g}") for power in range(42))
"""From 1 ms to 9.4 s, each 1.25 times the last: a quantile read from them is within a few percent."""

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
STAGES = ("recall", "rank", "rerank")


class Metrics:
    """The service's counters, gauges and histograms. Times in seconds."""

    def __init__(
        self, queue_depth: Callable[[], float], replicas: Callable[[], float], quality: Callable[[], float]
    ) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the vendor left it untyped
        self.registry = CollectorRegistry()
        requests = self._counter("recommender_requests", "Requests by how they ended.", "outcome")
        self.ok, self.shed, self.error = (requests.labels(outcome) for outcome in ("ok", "shed", "error"))
        lookups = self._counter("recommender_cache_lookups", "Look-ups in the result cache.", "result")
        self.hit, self.miss = lookups.labels("hit"), lookups.labels("miss")
        self.busy = self._counter("recommender_replica_busy_seconds", "Time that a replica spent on batches.", "replica")
        self.request = self._latency("request", "Time in the server from arrival to answer, cached answers included.")
        self.queue = self._latency("queue", "Time a request waited for its batch.")
        self.batch = self._latency("batch", "Time the model took for a batch.")
        self.stages = {stage: self._latency(stage, f"Time of the {stage} stage of a batch.") for stage in STAGES}
        self.batch_size = Histogram(
            "recommender_batch_size", "Requests in a batch.", buckets=BATCH_BUCKETS, registry=self.registry
        )
        self._gauge("recommender_queue_depth", "Requests waiting now.").set_function(queue_depth)
        self._gauge("recommender_replicas", "Replicas at work.").set_function(replicas)
        self._gauge(
            "recommender_shadow_quality_ratio", "Mean NDCG of a shadow sample of answers against the true taste."
        ).set_function(quality)
        self._info = self._gauge("recommender_model_info", "The model in force.", "version", "variant")
        self._knob = self._gauge("recommender_knob", "Value of each numeric knob.", "knob")

    def show(self, knobs: Knobs) -> None:
        """Say which knobs are in force."""
        self._info.clear()
        self._info.labels(knobs.model_version, knobs.variant).set(1)
        for name, value in knobs.numeric().items():
            self._knob.labels(name).set(value)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _latency(self, what: str, text: str) -> Histogram:
        return Histogram(f"recommender_{what}_seconds", text, buckets=LATENCY_BUCKETS, registry=self.registry)
