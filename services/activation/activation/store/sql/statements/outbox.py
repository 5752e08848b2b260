"""The statements of the outbox: which messages are owed."""

from sqlalchemy import Integer, Update, and_, bindparam, not_, null, select, update

from activation.store.sql.batch import batch
from activation.store.sql.schema import Utc, tasks
from activation.store.sql.statements.conditions import among, joined
from activation.store.sql.statements.parameters import FENCED, NOW, QUEUED

_t = tasks.c


def take_ready(dialect: str) -> Update:
    """Lease up to `limit` due messages to one relay; two relays never get the same."""
    due = (
        select(_t.seq)
        .where(_t.publish_at <= NOW, _t.state == QUEUED)
        .order_by(_t.publish_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    return (
        update(tasks)
        .where(among(dialect, _t.seq, due))
        .values(publish_at=bindparam("leased_until", type_=Utc))
        .returning(_t.id, _t.attempt, _t.traceparent)
    )


def mark_published(dialect: str) -> Update:
    """Settle the outbox for `batch`, unless an attempt has begun since: it settles itself."""
    confirmed = batch(dialect, FENCED)
    owed = (
        select(_t.seq)
        .join_from(
            tasks, confirmed, and_(_t.id == confirmed.c.id, _t.attempt == confirmed.c.attempt)
        )
        .where(joined(dialect, _t.id, select(confirmed.c.id)), _t.state == QUEUED)
        .with_for_update(of=tasks, skip_locked=True)
    )
    settled = update(tasks).where(among(dialect, _t.seq, owed))
    return settled.values(publish_at=null(), published_at=NOW)


def offer_again(dialect: str) -> Update:
    """Owe a message again for up to `limit` tasks published before `published_before`."""
    lost = (
        select(_t.seq)
        .where(_t.finished_at.is_(None), _t.state == QUEUED, _t.head)
        .where(_t.publish_at.is_(None), not_(_t.deferred))
        .where(_t.published_at <= bindparam("published_before", type_=Utc))
        .order_by(_t.published_at)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    owed = update(tasks).where(among(dialect, _t.seq, lost))
    return owed.values(publish_at=NOW).returning(_t.id)
