"""Cancellation that libraries lose."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heeded_cancellation() -> Iterator[None]:
    """Raise the cancellation that came inside the block, whatever became of it there.

    `asyncio.wait_for` before Python 3.12 loses one that comes when its work has just ended
    (python/cpython#86296), and aiormq answers one with an error. What is cancelled only once, as
    every loop of a service that stops, would then go on for ever.

    No `TaskGroup` may be inside: before Python 3.13 its own cancellations can look like ours.

    Raises:
        asyncio.CancelledError: The running task was cancelled meanwhile.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
