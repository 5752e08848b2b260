"""Parameters and values that many statements share."""

from typing import Final

from sqlalchemy import Integer, String, Uuid, bindparam, literal

from activation.domain.task import State
from activation.store.sql.batch import Types
from activation.store.sql.schema import Utc

NOW: Final = bindparam("now", type_=Utc)
QUEUED: Final = literal(State.QUEUED.value)
RUNNING: Final = literal(State.RUNNING.value)

FENCED: Types = {"id": Uuid, "attempt": Integer}
DEVICES: Types = {"equipment": String}
IDS: Types = {"id": Uuid}
