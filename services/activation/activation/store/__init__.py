"""Where tasks live: PostgreSQL in a cluster, SQLite on a laptop, memory in tests.

All three implement `activation.ports.TaskStore` and pass the same conformance suite.
"""

from activation.store.opening import migrate_store, open_store
from activation.store.sql.migrate import Schema

__all__ = ["Schema", "migrate_store", "open_store"]
