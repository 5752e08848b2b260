"""Every statement that changes tasks, by name, with what it promises.

Writes that touch many rows lock them in the order of `seq`, or skip what others have locked, so
that two of them never wait for each other. Whoever changes who is first in line of a device holds
that device's lock (`lock_devices`), taken by a statement of its own: the next one sees what the
holder before has committed.
"""

from functools import cache

from sqlalchemy import String, bindparam

from activation.store.sql.statements import (
    accepting,
    claims,
    ends,
    history,
    line,
    operators,
    outbox,
    shares,
)


class Statements:
    """The statements in the dialect of one database: `postgresql` or `sqlite`.

    Attributes:
        recording: `insert_tasks` and `claim` append the events too, and `pass_on` exists: on
            PostgreSQL each statement less is a round trip less. SQLite has no such statements.
    """

    def __init__(self, dialect: str) -> None:
        self.recording = history.is_recording(dialect)
        self.lock_devices = line.lock_devices(dialect)
        self.promote = line.promote(dialect)
        self.pass_on = line.pass_on(dialect)
        self.notify = line.notify(bindparam("notice", type_=String))
        self.record_events = history.record_events(dialect)
        self.forget_old_keys = accepting.forget_old_keys(dialect)
        self.insert_tasks = accepting.insert_tasks(dialect)
        self.find_repeated = accepting.find_repeated(dialect)
        self.take_ready = outbox.take_ready(dialect)
        self.mark_published = outbox.mark_published(dialect)
        self.offer_again = outbox.offer_again(dialect)
        self.find_room = shares.find_room(dialect)
        self.find_deferring = shares.find_deferring()
        self.admit = shares.admit(dialect)
        self.claim = claims.claim(dialect)
        self.find_by_id = claims.find_by_id(dialect)
        self.renew = claims.renew(dialect)
        self.finish = ends.finish(dialect)
        self.find_expired = ends.find_expired()
        self.reap = ends.finish(dialect, only_expired=True)
        self.request_cancel = operators.request_cancel()
        self.cancel_queued = operators.cancel_queued()
        self.replay = operators.replay()
        self.purge_events, self.purge_tasks = operators.purge(dialect)


@cache
def statements(dialect: str) -> Statements:
    """Return the statements in a dialect, made and compiled once however many stores there are."""
    return Statements(dialect)
