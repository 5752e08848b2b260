"""Where tasks live: PostgreSQL in a cluster, SQLite on a laptop, memory in tests.

All three implement `activation.ports.TaskStore` and pass the same conformance suite.
"""

from activation.store.opening import open_store

__all__ = ["open_store"]
