"""One page of a server → what can be known of it, what cannot and why."""

from collectors.coverage.report import Report, coverage_of

__all__ = ["Report", "coverage_of"]
