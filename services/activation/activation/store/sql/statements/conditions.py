"""Conditions that keep both planners to an index."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    ScalarSelect,
    Select,
    any_,
    func,
    literal,
    select,
    true,
)


def among(dialect: str, of: ColumnElement[Any], chosen: Select[tuple[Any]]) -> ColumnElement[bool]:
    """Choose rows by an indexed column; PostgreSQL reads no others, as it might for a join."""
    if dialect != "postgresql":
        return of.in_(chosen)
    return of == any_(func.array(chosen.scalar_subquery(), type_=ARRAY(of.type)))


def joined(dialect: str, on: ColumnElement[Any], chosen: Select[tuple[Any]]) -> ColumnElement[bool]:
    """Let PostgreSQL make a join with a batch by an indexed column, as SQLite does by itself.

    Told so, SQLite would begin with the tasks, and read the whole batch once for each of them.
    """
    return among(dialect, on, chosen) if dialect == "postgresql" else true()


def any_task(
    line: FromClause, equipment: ColumnElement[str], wanted: ColumnElement[bool]
) -> ScalarSelect[int]:
    """Return 1 if a device has such a task, else NULL.

    One look for each device: what EXISTS asks, PostgreSQL may answer by reading all that waits.
    """
    found = select(literal(1)).where(line.c.equipment == equipment, wanted)
    return found.limit(1).scalar_subquery()
