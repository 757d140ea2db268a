"""Hugging Face TGI (router/src/server.rs): seconds throughout, no model's name, counters without `_total`."""

from __future__ import annotations

from collectors.normalise.rules import Table, histogram, rule
from collectors.normalise.statuses import NONE_YET

TGI = Table(
    (
        # Not tgi_request_count: it counts requests that came, and chat requests twice.
        rule("tgi_request_success", "requests"),
        rule("tgi_request_success", "requests_failed", NONE_YET),
        rule(
            "tgi_request_failure",
            ("requests", "requests_failed"),
            where={"err": ("overloaded", "generation", "incomplete", "dropped")},
        ),
        rule("tgi_request_failure", ("requests", "client_errors"), where={"err": ("validation", "template")}),
        histogram("tgi_request_duration", "latency_seconds"),
        histogram("tgi_request_mean_time_per_token_duration", "output_token_seconds"),
        *(
            histogram(f"tgi_request_{stage}_duration", "stage_seconds", fixed={"stage": stage})
            for stage in ("validation", "queue", "inference")
        ),
        histogram("tgi_batch_next_size", "batch_size"),
        histogram("tgi_batch_inference_duration", "batch_seconds"),
        rule("tgi_queue_size", "queue_depth"),
        rule("tgi_batch_current_size", "requests_running"),
        rule("tgi_request_input_length_sum", "prompt_tokens"),
        rule("tgi_request_generated_tokens_sum", "generated_tokens"),
    ),
    marks=("tgi_*",),
)
