"""Faults of PostgreSQL."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from typing import Final

import asyncpg

from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.servers import connected, execute
from activation_cli.verify.system import System

_LOOK_EVERY_S: Final = 0.05

_END_SERVICES: Final = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and application_name = 'activation'"
)

# As from a full disk: reading goes on, and whatever would make a file grow is refused.
_REFUSAL: Final = """
create function disk_full() returns trigger language plpgsql as $$ begin
    raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
end $$
"""
# One table after the other: locks of all at once would deadlock with whoever uses them.
_EACH_TABLE: Final = """
do $$ declare name regclass; begin
    for name in
        select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
    loop
        execute format('{}', name);
        commit;
    end loop;
end $$
"""
_FILL: Final = _EACH_TABLE.format(
    "create trigger disk_full before insert or update on %s"
    " for each statement execute function disk_full()"
)
_CLEAR: Final = _EACH_TABLE.format("drop trigger if exists disk_full on %s")
_FORGET: Final = "drop function if exists disk_full()"


def store_restarted() -> Fault:
    """Stop and start PostgreSQL, which cuts all its connections."""

    async def strike(system: System, _: random.Random) -> None:
        if system.database is not None:
            await asyncio.to_thread(system.database.restart)

    return Fault("PostgreSQL is restarted", strike)


def store_connections_terminated(*, times: int = 3) -> Fault:
    """Have PostgreSQL end all connections to the database, a few times in a row."""

    async def strike(system: System, _: random.Random) -> None:
        for _n in range(times):
            await execute(system.database_url, _END_SERVICES)
            await asyncio.sleep(0.4)

    return Fault("PostgreSQL ends all connections", strike)


def store_connections_taken(*, for_s: float) -> Fault:
    """Take every connection that PostgreSQL has, also from the services."""

    async def strike(system: System, _: random.Random) -> None:
        now = asyncio.get_running_loop().time
        async with AsyncExitStack() as taken:
            first = await taken.enter_async_context(connected(system.database_url))
            until = now() + for_s
            while now() < until:
                await first.execute(_END_SERVICES)
                with suppress(asyncpg.TooManyConnectionsError):
                    while now() < until:
                        await taken.enter_async_context(connected(system.database_url))
                await asyncio.sleep(_LOOK_EVERY_S)

    return Fault("PostgreSQL has no connection left", strike)


def store_full(*, for_s: float) -> Fault:
    """Have PostgreSQL refuse all writes to the database, with the error of a full disk."""

    async def strike(system: System, _: random.Random) -> None:
        try:
            await execute(system.database_url, _REFUSAL)
            await execute(system.database_url, _FILL)
            await asyncio.sleep(for_s)
        finally:
            await execute(system.database_url, _CLEAR)
            await execute(system.database_url, _FORGET)

    return Fault("PostgreSQL has no disk space left", strike)
