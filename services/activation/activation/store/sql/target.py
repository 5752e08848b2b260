"""The one row that holds what all workers know about the target."""

from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from activation.domain.target import Target
from activation.store.sql.database import Connection, Row
from activation.store.sql.queries import running
from activation.store.sql.schema import target

_ID: Final = 1
_NAMES: Final = tuple(field.name for field in fields(Target))
_NEW: Final = "new_"  # SQLAlchemy keeps the columns' own names for itself

_READ: Final = select(*(target.c[name] for name in _NAMES)).where(target.c.id == _ID)
_LOCK: Final = _READ.with_for_update()
_INSERT: Final = {
    "postgresql": postgresql.insert(target).values(id=_ID, trips=0).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(target).values(id=_ID, trips=0).on_conflict_do_nothing(),
}
_UPDATE: Final = (
    update(target)
    .where(target.c.id == _ID)
    .values({name: bindparam(_NEW + name, type_=target.c[name].type) for name in _NAMES})
)


async def read(connection: Connection) -> Target:
    """Return what is known."""
    found = await connection.fetch(_READ)
    return _target_of(found[0]) if found else Target()


async def room(tx: Connection, now: datetime) -> int | None:
    """Count the calls that may begin, while nobody else lets any begin; None: any number.

    Only what runs is counted: the row stays locked until it does, as the transaction ends.
    """
    locked = await tx.fetch(_LOCK)
    limit = _target_of(locked[0]).limit(now) if locked else None
    return None if limit is None else max(0, limit - await running(tx))


async def change(tx: Connection, dialect: str, make: Callable[[Target], Target]) -> Target:
    """Make the new of the present while the row is locked; a transaction must be open."""
    locked = await tx.fetch(_LOCK)
    if not locked:  # the first change ever
        await tx.fetch(_INSERT[dialect])
        locked = await tx.fetch(_LOCK)
    present = _target_of(locked[0])
    new = make(present)
    if new != present:
        await tx.fetch(_UPDATE, {_NEW + name: value for name, value in asdict(new).items()})
    return new


def _target_of(row: Row) -> Target:
    return Target(**{name: row[name] for name in _NAMES})
