"""Opening the store that a URL names."""

from functools import partial

from activation.clock import Clock, SystemClock
from activation.encryption import Cipher
from activation.ports import TaskStore
from activation.store.encrypted import EncryptedStore
from activation.store.memory import MemoryStore
from activation.store.sql.database import Database, show_pool
from activation.store.sql.migrate import Schema, migrate, require_schema
from activation.store.sql.notices import Notices, PostgresNotices, SqliteNotices
from activation.store.sql.postgresql import PostgresDatabase
from activation.store.sql.sqlite import SqliteDatabase, open_sqlite
from activation.store.sql.store import SqlStore
from activation.store.sql.url import connect_options, read_url


async def open_store(
    url: str,
    *,
    clock: Clock | None = None,
    timeout_s: float = 5.0,
    pool_size: int = 8,
    publish_lease_s: float = 10.0,
    key_lifetime_s: float = 86_400.0,
    migrate_schema: bool = True,
    cipher: Cipher | None = None,
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
        cipher: Encrypts the parameters of tasks; None, and in memory: nobody does.

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
    database: Database
    notices: Notices
    if parsed.get_backend_name() == "sqlite":
        engine = open_sqlite(parsed, timeout_s=timeout_s)
        database = SqliteDatabase(engine)
        notices = SqliteNotices(engine)
    else:
        database = await PostgresDatabase.open(parsed, pool_size=pool_size, timeout_s=timeout_s)
        notices = PostgresNotices(connect_options(parsed, timeout_s=timeout_s))
    show_pool(database)
    make = SqlStore if cipher is None else partial(EncryptedStore, cipher)
    return make(
        database,
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
