"""Opening the store that a URL names."""

from activation.clock import Clock, SystemClock
from activation.ports import TaskStore
from activation.store.memory import MemoryStore
from activation.store.sql.engine import dsn, open_engine, read_url
from activation.store.sql.migrate import Schema, migrate, require_schema
from activation.store.sql.notices import Notices, PostgresNotices, SqliteNotices
from activation.store.sql.store import SqlStore


async def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    timeout_s: float = 5.0,
    pool_size: int = 8,
    publish_lease_s: float = 10.0,
    key_lifetime_s: float = 86_400.0,
    migrate_schema: bool = True,
) -> TaskStore:
    """Open the store, with a schema that is up to date.

    Args:
        url: `postgresql://…`, `sqlite:////path/file.db`, or `memory://` for tests.
        clock: Time for leases and retries; None means the database's own.
        timeout_s: Limit of one transaction.
        pool_size: Connections to PostgreSQL.
        publish_lease_s: A relay's time to publish a message before others may try.
        key_lifetime_s: How long idempotency keys are known.
        migrate_schema: False: `activation-migrate` does that; only check that it has.

    Raises:
        StartError: The URL cannot be used.
        StoreUnavailableError: The database does not answer, or its schema is behind.
    """
    if url == "memory://":
        return MemoryStore(
            clock or SystemClock(), publish_lease_s=publish_lease_s, key_lifetime_s=key_lifetime_s
        )
    parsed = read_url(url)
    if migrate_schema:
        await migrate(parsed)
    else:
        await require_schema(parsed, timeout_s=timeout_s)
    engine = open_engine(parsed, pool_size=pool_size, timeout_s=timeout_s)
    notices: Notices = (
        SqliteNotices(engine)
        if engine.dialect.name == "sqlite"
        else PostgresNotices(dsn(parsed), timeout_s=timeout_s)
    )
    return SqlStore(
        engine,
        notices,
        clock=clock,
        timeout_s=timeout_s,
        publish_lease_s=publish_lease_s,
        key_lifetime_s=key_lifetime_s,
    )


async def migrate_store(url: str) -> Schema:
    """Bring the schema of a database up to date; what is there already is left alone.

    Returns:
        What the schema was before.

    Raises:
        StartError: The URL cannot be used.
        StoreUnavailableError: The database does not answer.
    """
    return await migrate(read_url(url))
