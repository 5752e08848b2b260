"""Following tasks until they end."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

from activation_cli.documents import Task, has_ended
from activation_cli.patience import Patience

if TYPE_CHECKING:
    from activation_cli.client import Gateway

GLANCE_S: Final = 1  # how old a view of a running task may be
_BREATH_S: Final = 0.2  # a gateway that does not wait when asked must not be hammered


async def follow(
    gateway: "Gateway", task_id: str, *, patience: Patience, limit_s: float | None = None
) -> AsyncIterator[Task]:
    """Yield a task again and again, for the last time when it has ended or the time is over.

    Its end is seen at once, since the gateway answers a waiting request; what happens before
    that is seen within `GLANCE_S`.
    """
    give_up = None if limit_s is None else asyncio.get_running_loop().time() + limit_s
    over = False
    while True:
        task = await patience(partial(gateway.task, task_id))
        yield task
        if over or has_ended(task):
            return
        try:
            async with asyncio.timeout_at(give_up):
                await _glance(gateway, task, patience)
        except TimeoutError:
            over = True


async def _glance(gateway: "Gateway", task: Task, patience: Patience) -> None:
    """Return when the task has ended, or after a while."""
    seen = await patience(partial(gateway.wait, task["taskId"], task["equipment"], GLANCE_S))
    if not has_ended(seen):
        await asyncio.sleep(_BREATH_S)
