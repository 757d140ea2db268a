"""What the pages of a target say of deploys and restarts → marks."""

from __future__ import annotations

from collectors.endpoint import instance_of
from collectors.measures import Labels
from recwatch.core.events import Mark


def deploy_mark(service: str, url: str, time_ms: int, before: Labels, after: Labels) -> Mark:
    """The mark of a change of model; `before` and `after` are the labels `version` and `variant` of the model that answers.

    >>> small, large = ((("variant", v), ("version", "v7")) for v in ("small", "large"))
    >>> deploy_mark("shop", "http://10.0.0.1:8000/metrics", 5, small, large).text
    'model v7 (small) → v7 (large)'
    >>> deploy_mark("shop", "http://10.0.0.1:8000/metrics", 5, (("variant", "small"),), (("version", "v8"),)).text
    'model unknown (small) → v8 (none)'
    """
    old, new = dict(before), dict(after)
    with_variant = old.get("variant") != new.get("variant")
    return Mark.of(
        service, "deploy", time_ms, f"model {_model(old, with_variant)} → {_model(new, with_variant)}", by=f"target {url}"
    )


def restart_mark(service: str, url: str, time_ms: int) -> Mark:
    """The mark of a process that started anew."""
    return Mark.of(service, "restart", time_ms, f"{instance_of(url)} restarted", by=f"target {url}")


def _model(labels: dict[str, str], with_variant: bool) -> str:
    version = labels.get("version", "unknown")
    return f"{version} ({labels.get('variant', 'none')})" if with_variant else version
