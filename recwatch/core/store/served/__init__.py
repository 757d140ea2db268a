"""The embedded engine behind ClickHouse's HTTP protocol: questions of other processes in, answers of chDB out."""

from recwatch.core.store.served.engine import Engine
from recwatch.core.store.served.http import Served, User

__all__ = ["Engine", "Served", "User"]
