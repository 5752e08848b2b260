"""The message of a task: ids only, so that no parameter and no password is ever on the broker."""

from typing import Final
from uuid import UUID

import orjson
from aiormq import spec

from activation.broker.properties import JSON
from activation.domain.task import TaskId
from activation.errors import ActivationError
from activation.ports import Ready

VERSION: Final = 1
_TYPE: Final = "activation.task"
_PERSISTENT: Final = 2
_LARGEST_BYTES: Final = 4096


class UnreadableMessageError(ActivationError):
    """A message that cannot have been meant for us, or is about nothing; the text says why."""


def write_message(ready: Ready, traceparent: str | None) -> tuple[bytes, spec.Basic.Properties]:
    """Return body and properties of the message for a task.

    Args:
        ready: The task.
        traceparent: The trace context of the publication.
    """
    task_id = str(ready.task_id)
    properties = spec.Basic.Properties(
        content_type=JSON,
        delivery_mode=_PERSISTENT,
        message_id=task_id,
        message_type=_TYPE,
        headers={"traceparent": traceparent} if traceparent else None,
    )
    return orjson.dumps({"version": VERSION, "taskId": task_id}), properties


def read_message(body: bytes) -> TaskId:
    """Return the task that a message is about.

    Raises:
        UnreadableMessageError: It is not of our making; the text says why, without its content.
    """
    if len(body) > _LARGEST_BYTES:
        raise UnreadableMessageError(f"the body has {len(body)} bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableMessageError("the body is not JSON") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UnreadableMessageError(f"the body is not of version {VERSION}")
    try:
        return TaskId(UUID(content["taskId"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise UnreadableMessageError("the body names no task") from None
