"""What the addresses of the API name: equipment and tasks."""

import re
from typing import Final, TypeVar
from uuid import UUID

from activation.domain.task import SERIAL_NUMBER_MAX, TaskId, is_serial_number
from activation_gateway.api.representation import EQUIPMENT_NOT_FOUND, TASK_NOT_FOUND, Message

SERIAL_NUMBER_PATTERN: Final = f"^[a-zA-Z0-9]{{6,{SERIAL_NUMBER_MAX}}}$"

_Answer = TypeVar("_Answer")

_TASK_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class NotFoundError(Exception):
    """The address names nothing; the contract gives this answer a body of its own."""

    def __init__(self, body: Message) -> None:
        super().__init__(body.message)
        self.body = body


def read_equipment(text: str) -> str:
    """Return the serial number in an address.

    Raises:
        NotFoundError: No equipment can have it.
    """
    if not is_serial_number(text):
        raise NotFoundError(EQUIPMENT_NOT_FOUND)
    return text


def read_task_id(text: str) -> TaskId:
    """Return the id of a task in an address.

    Raises:
        NotFoundError: No task can have it.
    """
    if not _TASK_ID.fullmatch(text):
        raise NotFoundError(TASK_NOT_FOUND)
    return TaskId(UUID(text))


def found(answer: _Answer | None) -> _Answer:
    """Return what the store answers of a task.

    Raises:
        NotFoundError: There is no such task.
    """
    if answer is None:
        raise NotFoundError(TASK_NOT_FOUND)
    return answer
