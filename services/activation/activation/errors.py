"""The errors that services handle.

::

    ActivationError
    ├── StoreUnavailableError   the store did not answer: nothing is known, try again
    ├── BrokerUnavailableError  RabbitMQ did not answer: the outbox keeps what is owed
    ├── TransitionError         the task's state does not allow what was asked
    ├── KeyConflictError        an idempotency key came back with another request
    ├── LineFullError           as many tasks of the equipment wait as may wait
    └── StartError              a service cannot start, and the message says why
"""


class ActivationError(Exception):
    """The root of all errors of this package."""


class StoreUnavailableError(ActivationError):
    """The store did not answer in time or refused the connection; what was sent may be done."""


class BrokerUnavailableError(ActivationError):
    """RabbitMQ did not take, or did not confirm, a message in time."""


class TransitionError(ActivationError):
    """The task's state does not allow what was asked; nothing was changed."""


class KeyConflictError(ActivationError):
    """The idempotency key belongs to a different request; nothing was stored."""


class LineFullError(ActivationError):
    """As many tasks of the equipment wait as may wait; nothing was stored."""


class StartError(ActivationError):
    """A service cannot start; the message is one line for the person who started it."""


def first_cause(error: BaseException) -> BaseException:
    """Return the first error inside a group of them, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
