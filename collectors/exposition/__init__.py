"""Exposition text (Prometheus text format 0.0.4, OpenMetrics 1.0) → the lines of a page and their values."""

from collectors.exposition.page import NO_TIME_MS, Dropped, Line, Page, Reason
from collectors.exposition.parser import PageParser

__all__ = ["NO_TIME_MS", "Dropped", "Line", "Page", "PageParser", "Reason"]
