"""The seam to the database: turns samples and events into rows of one ClickHouse schema, and back, whatever the DSN."""

from recwatch.core.store.connection import check_store
from recwatch.core.store.database import Store, open_store
from recwatch.core.store.schema import Retention

__all__ = ["Retention", "Store", "check_store", "open_store"]
