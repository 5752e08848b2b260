"""What an API key or a token can be good for, and what each operation needs."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a key or a token is good for."""

    SUBMIT = "submit"  # ask for activations
    READ = "read"  # see tasks and the state of the system
    OPERATE = "operate"  # cancel tasks and try them again, keep calls back


NEEDED: Final[Mapping[str, Scope]] = {
    "submit": Scope.SUBMIT,
    "result": Scope.READ,
    "search": Scope.READ,
    "show": Scope.READ,
    "status": Scope.READ,
    "target": Scope.READ,
    "cancel": Scope.OPERATE,
    "retry": Scope.OPERATE,
    "pauseTarget": Scope.OPERATE,
    "resumeTarget": Scope.OPERATE,
    "limitTarget": Scope.OPERATE,
}
"""By the id of the operation; health and documentation are no operations, and open to all."""
