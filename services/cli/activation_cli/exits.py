"""What the command line ends with: exit codes that scripts can use, and the errors behind them."""

from enum import IntEnum
from typing import Final


class Exit(IntEnum):
    """The exit codes. They are part of the interface: never change one."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNREACHABLE = 4
    STILL_RUNNING = 5
    CONFLICT = 6
    DENIED = 7
    INTERRUPTED = 130


MEANINGS: Final[dict[Exit, str]] = {
    Exit.DONE: "done",
    Exit.FAILED: "the task failed or was cancelled; a local system could not run; "
    "verify found a violation",
    Exit.USAGE: "wrong usage or bad input",
    Exit.NOT_FOUND: "there is no such task",
    Exit.UNREACHABLE: "the gateway cannot be reached, is too busy, or answers 5xx",
    Exit.STILL_RUNNING: "the task had not ended when the wait was over",
    Exit.CONFLICT: "the task's state does not allow it",
    Exit.DENIED: "the gateway wants an API key, or one that is good for more",
    Exit.INTERRUPTED: "interrupted",
}


class CommandError(Exception):
    """A command cannot go on; the message is one line for the person who gave it.

    Attributes:
        code: What the process ends with.
    """

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(CommandError):
    """The gateway did not answer, or cannot serve now; the same call may work later.

    Attributes:
        retry_after_s: When the gateway wishes to be asked again, if it said so.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message, Exit.UNREACHABLE)
        self.retry_after_s = retry_after_s
