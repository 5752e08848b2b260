"""Opening the store that a URL names."""

from activation.clock import Clock, SystemClock
from activation.ports import TaskStore
from activation.store.memory import MemoryStore
from activation.store.sql.engine import dsn, open_engine, read_url
from activation.store.sql.migrate import migrate
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
    migrated: bool = False,
) -> TaskStore:
    """Open the store and bring its schema up to date.

    Args:
        url: `postgresql://…`, `sqlite:////path/file.db`, or `memory://` for tests.
        clock: Time for leases and retries; None means the database's own.
        timeout_s: Limit of one transaction.
        pool_size: Connections to PostgreSQL.
        publish_lease_s: A relay's time to publish a message before others may try.
        key_lifetime_s: How long idempotency keys are known.
        migrated: Somebody else has migrated the schema; leave it alone.

    Raises:
        StartError: The URL cannot be used.
        StoreUnavailableError: The database does not answer.
    """
    if url == "memory://":
        return MemoryStore(
            clock or SystemClock(), publish_lease_s=publish_lease_s, key_lifetime_s=key_lifetime_s
        )
    parsed = read_url(url)
    if not migrated:
        await migrate(parsed)
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
