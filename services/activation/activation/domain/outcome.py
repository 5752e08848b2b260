"""What an attempt ended with, and what that means for its task.

`REASONS` is the retry table: the only place that says which failures are tried again.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final


class Reason(StrEnum):
    """Why an attempt, or a task, ended the way it did."""

    COMPLETED = "completed"  # the handler answered 200
    UNKNOWN_EQUIPMENT = "unknown_equipment"  # 404
    REFUSED = "refused"  # 400, 401, 403, 409, 422 and other 4xx
    PROVISIONING_ERROR = "provisioning_error"  # 500
    OVERLOADED = "overloaded"  # 429
    UNAVAILABLE = "unavailable"  # 502, 503, 504 and other 5xx
    UNREACHABLE = "unreachable"  # the connection was refused or reset
    UNREADABLE = "unreadable"  # an answer that is broken, too large or of an unknown kind
    NO_ANSWER = "no_answer"  # nothing within the deadline: it may have acted
    WORKER_LOST = "worker_lost"  # the lease ran out: it may have acted
    DRAINED = "drained"  # the worker was stopped before the answer came
    LOCKED = "locked"  # the key that its parameters are encrypted with was missing: no call
    CANCELLED = "cancelled"  # by the client or an operator


class Meaning(StrEnum):
    """What a reason means for the task."""

    SUCCESS = "success"
    PERMANENT = "permanent"  # trying again would give the same
    TRANSIENT = "transient"  # tried again while attempts are left
    UNKNOWN = "unknown"  # tried again with the same key: the handler may have acted
    WITHDRAWN = "withdrawn"  # not the handler's doing; nothing is held against the task


REASONS: Final[dict[Reason, Meaning]] = {
    Reason.COMPLETED: Meaning.SUCCESS,
    Reason.UNKNOWN_EQUIPMENT: Meaning.PERMANENT,
    Reason.REFUSED: Meaning.PERMANENT,
    Reason.PROVISIONING_ERROR: Meaning.PERMANENT,  # transient with `retry_provisioning_errors`
    Reason.OVERLOADED: Meaning.TRANSIENT,
    Reason.UNAVAILABLE: Meaning.TRANSIENT,
    Reason.UNREACHABLE: Meaning.TRANSIENT,
    Reason.UNREADABLE: Meaning.TRANSIENT,
    Reason.NO_ANSWER: Meaning.UNKNOWN,
    Reason.WORKER_LOST: Meaning.UNKNOWN,
    Reason.DRAINED: Meaning.WITHDRAWN,
    Reason.LOCKED: Meaning.TRANSIENT,  # and not counted
    Reason.CANCELLED: Meaning.WITHDRAWN,
}

# The handler may have acted all the same: the connection broke, a proxy spoke in its place, or
# nobody was there to hear.
UNCERTAIN: Final = frozenset(
    {
        Reason.UNAVAILABLE,
        Reason.UNREACHABLE,
        Reason.UNREADABLE,
        Reason.NO_ANSWER,
        Reason.WORKER_LOST,
        Reason.DRAINED,
        Reason.LOCKED,  # for the attempt before it
    }
)

ASKED: Final = "The handler was asked"  # begins the message of an attempt that ended by asking

_BY_STATUS: Final = {
    HTTPStatus.OK: Reason.COMPLETED,
    HTTPStatus.NOT_FOUND: Reason.UNKNOWN_EQUIPMENT,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.OVERLOADED,
    HTTPStatus.INTERNAL_SERVER_ERROR: Reason.PROVISIONING_ERROR,
}


def reason_for_status(status: int) -> Reason:
    """Translate the status of a handler's answer."""
    if status in _BY_STATUS:
        return _BY_STATUS[HTTPStatus(status)]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Reason.UNAVAILABLE
    if status >= HTTPStatus.BAD_REQUEST:
        return Reason.REFUSED
    return Reason.UNREADABLE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt ended with.

    Attributes:
        message: In words, without secrets.
        retry_after_s: The handler's own wish, from its `Retry-After` (RFC 9110 section 10.2.3).
    """

    reason: Reason
    message: str
    retry_after_s: float | None = None

    @property
    def withdrawn(self) -> bool:
        """Whether it tells nothing about the handler."""
        return REASONS[self.reason] is Meaning.WITHDRAWN


WORKER_LOST: Final = Outcome(Reason.WORKER_LOST, "The worker was lost before it could report")
