"""The statements about who is next in the line of a device, and who is told."""

from typing import Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Update,
    bindparam,
    case,
    exists,
    func,
    select,
    update,
)

from activation.store.sql.batch import batch
from activation.store.sql.schema import Utc, tasks
from activation.store.sql.statements.conditions import among, any_task
from activation.store.sql.statements.history import record_events
from activation.store.sql.statements.parameters import DEVICES, NOW

CHANNEL: Final = "activation"  # of LISTEN and NOTIFY

_t = tasks.c


def lock_devices(dialect: str) -> Select[tuple[int]] | None:
    """Hold the devices of `batch` until the transaction ends; SQLite has one writer anyway."""
    if dialect != "postgresql":
        return None
    devices = batch(dialect, DEVICES)
    key = func.hashtextextended(devices.c.equipment, 0).label("key")
    ordered = select(key).distinct().order_by(key).subquery("ordered")
    return select(func.count(func.pg_advisory_xact_lock(ordered.c.key)))


def promote(dialect: str) -> Update:
    """Make the oldest unfinished task the first in line, for devices of `batch` without one."""
    devices = batch(dialect, DEVICES)
    present, line = tasks.alias("present"), tasks.alias("line")
    oldest = (
        select(func.min(line.c.seq))
        .where(line.c.equipment == devices.c.equipment, line.c.finished_at.is_(None))
        .scalar_subquery()
    )
    without_head = any_task(present, devices.c.equipment, present.c.head).is_(None)
    return (
        update(tasks)
        .where(among(dialect, _t.seq, select(oldest).where(without_head).select_from(devices)))
        .values(head=True, publish_at=bindparam("publish_at", type_=Utc), runnable_at=NOW)
        .returning(_t.id)
    )


def pass_on(dialect: str) -> Select[tuple[object, ...]]:
    """Append `events`, `promote`, and tell: `notice_if_ready` if anybody was promoted."""
    promoted = promote(dialect).cte("promoted")
    notice = case(
        (exists().select_from(promoted), bindparam("notice_if_ready", type_=String)),
        else_=bindparam("notice", type_=String),
    )
    return notify(notice).add_cte(record_events(dialect).cte("recorded"))


def notify(notice: ColumnElement[str]) -> Select[tuple[object, ...]]:
    """Tell the processes that listen, once the transaction is committed."""
    return select(func.pg_notify(CHANNEL, notice))
