"""The private PostgreSQL server, as tests use it."""

import asyncio

import asyncpg
import pytest

from tests.support.servers import Postgres


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(statement, timeout=10)
    finally:
        await connection.close(timeout=10)


async def test_each_test_has_an_empty_database_of_its_own(
    postgres: Postgres, postgres_url: str
) -> None:
    """A table of the test's database is unknown to the others."""
    await run(postgres_url, "create table notes as select 1")

    assert await run(postgres_url, "select count(*) from notes") == 1
    with pytest.raises(asyncpg.UndefinedTableError):
        await run(postgres.url(), "select count(*) from notes")


@pytest.mark.parametrize("how", ["stop", "stop immediately", "kill"])
async def test_committed_rows_survive_every_end(own_postgres: Postgres, how: str) -> None:
    """The server comes back at the same address with what was committed."""
    await run(own_postgres.url(), "create table notes as select 1")

    if how == "kill":
        own_postgres.kill()
    else:
        own_postgres.stop(immediately=how == "stop immediately")
    await asyncio.to_thread(own_postgres.start)

    assert await run(own_postgres.url(), "select count(*) from notes") == 1
