"""The audit: what operators did stands in the log, one line for each action."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

from activation.errors import TransitionError
from activation.telemetry.logging import get_logger
from activation_gateway.api.address import NotFoundError
from activation_gateway.api.guard import caller_of

_ANONYMOUS: Final = "anonymous"

log = get_logger()


@contextmanager
def audited(request: Request, action: str, **subject: str | int | None) -> Iterator[None]:
    """Log `operator_action`: who did what to which subject, and what came of it.

    The outcome is `done`, `refused` by the task's state, `not_found`, or `unknown` where the store
    did not answer: then it may have been done.
    """
    outcome = "unknown"
    try:
        yield
        outcome = "done"
    except TransitionError:
        outcome = "refused"
        raise
    except NotFoundError:
        outcome = "not_found"
        raise
    finally:
        log.info(
            "operator_action",
            caller=caller_of(request) or _ANONYMOUS,
            action=action,
            **subject,
            outcome=outcome,
        )
