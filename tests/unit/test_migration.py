"""The schema: brought up to date once, waited for, and left alone where it is newer."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import text

from activation.errors import StoreUnavailableError
from activation.settings import StoreSettings
from activation.start import migrate_patiently
from activation.store import Schema, migrate_store, open_store
from activation.store.sql.migrations import revisions
from activation.store.sql.sqlite import open_sqlite
from activation.store.sql.upgrade import alembic_config
from activation.store.sql.url import read_url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


async def test_the_first_migration_makes_the_schema_and_the_second_changes_nothing(
    url: str,
) -> None:
    """A job that runs again, as after a rollback, does no harm."""
    first = await migrate_store(url)
    second = await migrate_store(url)

    assert (first, second) == (Schema.BEHIND, Schema.PRESENT)


async def test_a_service_that_must_not_migrate_waits_for_the_schema(url: str) -> None:
    """Without its schema a store counts as out of reach, and the reason says what must run."""
    with pytest.raises(StoreUnavailableError, match="activation-migrate must run"):
        await open_store(url, migrate_schema=False)

    await migrate_store(url)
    store = await open_store(url, migrate_schema=False)
    await store.close()


def test_the_numbers_of_the_files_are_the_revisions_in_their_order() -> None:
    """Services tell by the files' names what a schema lacks; Alembic goes by what is in them."""
    newest_first = [
        script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()
    ]

    assert revisions() == tuple(reversed(newest_first))


async def test_a_schema_of_an_older_version_is_behind(url: str) -> None:
    """A service that must not migrate waits for what is missing."""
    await migrate_store(url)
    await _set_revision(url, revisions()[-2])

    with pytest.raises(StoreUnavailableError, match="activation-migrate must run"):
        await open_store(url, migrate_schema=False)


def test_a_start_on_a_present_schema_does_without_alembic(url: str) -> None:
    """It takes 11 MiB of every pod, and half a second of every start."""
    asyncio.run(migrate_store(url))
    start = (
        "import asyncio, sys; from activation.store import open_store\n"
        f"asyncio.run(asyncio.wait_for(open_store({url!r}), 30))\n"
        "print('alembic' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, check=True, timeout=60
    )

    assert said.stdout.strip() == "False"


async def test_older_code_works_on_a_newer_schema(url: str) -> None:
    """After a rollback the revision is unknown; the older version leaves it alone and starts."""
    await migrate_store(url)
    await _set_revision(url, "9999_of_a_later_version")

    found = await migrate_store(url)
    store = await open_store(url, migrate_schema=False)
    await store.close()

    assert found is Schema.NEWER


async def test_a_migration_that_is_told_to_stop_before_the_database_answers_says_so(
    tmp_path: Path,
) -> None:
    """None means that nothing was looked at: the job has not done its work."""
    stop = asyncio.Event()
    stop.set()

    found = await migrate_patiently(
        StoreSettings(database_url=SecretStr(f"sqlite:///{tmp_path}/store.db")), stop
    )

    assert found is None


async def _set_revision(url: str, revision: str) -> None:
    engine = open_sqlite(read_url(url), timeout_s=5)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("update alembic_version set version_num = :revision"), {"revision": revision}
            )
    finally:
        await engine.dispose()
