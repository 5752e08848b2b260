"""Accepting requests: one shared commit makes them durable, then they are offered to the relay."""

import asyncio
import math
from collections.abc import Callable, Sequence

from activation.domain.task import NewTask
from activation.errors import ActivationError, KeyConflictError, StoreUnavailableError
from activation.group_commit import GroupCommit
from activation.ports import Accepted, Ready, TaskStore
from activation.telemetry.logging import get_logger
from activation_gateway import metrics

_LARGEST_GROUP = 500
_RETRY_PAUSE_S = 0.1
_BACKLOG_REFRESH_S = 1.0

log = get_logger()


class BacklogFullError(ActivationError):
    """So many tasks wait that no more are accepted.

    Attributes:
        retry_after_s: When to ask again, in whole seconds.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many tasks are waiting")
        self.retry_after_s = retry_after_s


class Intake:
    """Makes requests durable, many in one commit.

    Args:
        store: Where they go.
        offer: Told which new tasks can be published at once.
        patience_s: How long a commit is tried again while the store does not answer; a store
            that restarts within it goes unnoticed.
        max_backlog: Queued tasks above which requests are refused; 0 means no limit.
    """

    def __init__(
        self,
        store: TaskStore,
        offer: Callable[[Sequence[Ready]], None],
        *,
        patience_s: float,
        max_backlog: int,
    ) -> None:
        self._store = store
        self._offer = offer
        self._patience_s = patience_s
        self._max_backlog = max_backlog
        self._backlog = 0
        self._drained_per_s = 0.0
        self._group = GroupCommit(self._commit, largest=_LARGEST_GROUP)

    async def accept(self, task: NewTask) -> Accepted:
        """Return once the task is durable.

        Raises:
            BacklogFullError: Too many tasks wait.
            KeyConflictError: The idempotency key belongs to a different request.
            StoreUnavailableError: The store did not answer in time. The task may still have been
                stored; with an idempotency key the client can ask again safely.
        """
        if self._max_backlog and self._backlog >= self._max_backlog:
            raise BacklogFullError(self._retry_after_s())
        answer = await self._group.submit(task)
        if isinstance(answer, KeyConflictError):
            raise answer
        return answer

    async def run(self) -> None:
        """Commit what arrives and keep count of the backlog, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._group.run(), name="intake commits")
            if self._max_backlog:
                group.create_task(self._count_backlog(), name="intake backlog")

    async def _commit(self, tasks: Sequence[NewTask]) -> Sequence[Accepted | KeyConflictError]:
        answers = await self._store_patiently(tasks)
        by_id = {task.id: task for task in tasks}
        new = sum(isinstance(answer, Accepted) and not answer.repeated for answer in answers)
        metrics.ACCEPTED.inc(new)
        self._backlog += new
        self._offer(
            [
                Ready(answer.task_id, by_id[answer.task_id].traceparent)
                for answer in answers
                if isinstance(answer, Accepted) and answer.ready
            ]
        )
        return answers

    async def _store_patiently(
        self, tasks: Sequence[NewTask]
    ) -> Sequence[Accepted | KeyConflictError]:
        """Store the tasks; trying again is safe because their ids stay the same."""
        now = asyncio.get_running_loop().time
        give_up = now() + self._patience_s
        while True:
            try:
                return await self._store.accept(tasks)
            except StoreUnavailableError as error:
                if now() >= give_up:
                    raise
                log.warning("accept_delayed", tasks=len(tasks), error=str(error))
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _count_backlog(self) -> None:
        while True:
            try:
                before, self._backlog = self._backlog, await self._store.backlog()
                self._drained_per_s = max(0.0, before - self._backlog) / _BACKLOG_REFRESH_S
            except StoreUnavailableError as error:
                log.warning("backlog_unknown", error=str(error))
            await asyncio.sleep(_BACKLOG_REFRESH_S)

    def _retry_after_s(self) -> int:
        """Estimate when there is room again, between one second and a minute."""
        excess = self._backlog - self._max_backlog + 1
        if self._drained_per_s <= 0.0:
            return 60
        return min(60, max(1, math.ceil(excess / self._drained_per_s)))
