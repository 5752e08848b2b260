"""Accepting requests: one shared commit makes them durable, then they are offered to the relay."""

import asyncio
import math
from collections.abc import Callable, Sequence

from activation.domain.task import NewTask, State
from activation.errors import (
    ActivationError,
    KeyConflictError,
    LineFullError,
    StoreUnavailableError,
)
from activation.group_commit import GroupCommit
from activation.ports import Accepted, NotAccepted, Ready, TaskQuery, TaskStore
from activation.telemetry.logging import get_logger
from activation_gateway import metrics

_LARGEST_GROUP = 500
_RETRY_PAUSE_S = 0.1
_BACKLOG_REFRESH_S = 1.0
_LONGEST_RETRY_AFTER_S = 60  # also where nothing was measured

log = get_logger()


class BacklogFullError(ActivationError):
    """So many tasks wait that no more are accepted.

    Attributes:
        retry_after_s: When to ask again, in whole seconds.
        of_equipment: Too many of this equipment alone; those of others are accepted.
    """

    def __init__(self, retry_after_s: int, *, of_equipment: bool = False) -> None:
        super().__init__("too many tasks are waiting")
        self.retry_after_s = retry_after_s
        self.of_equipment = of_equipment


class Intake:
    """Makes requests durable, many in one commit.

    Args:
        store: Where they go.
        offer: Told which new tasks can be published at once.
        patience_s: How long a commit is tried again while the store does not answer; a store
            that restarts within it goes unnoticed.
        max_backlog: Queued tasks above which requests are refused; 0 means no limit. Followed with
            a delay of a second, so that it costs nothing. Repeats of what is known are answered
            all the same.
        max_waiting_per_equipment: The same for the tasks of one equipment, but to the task.
        caller_share: Tasks of one caller that may wait for workers; more are taken, and deferred.
            0 means no limit.
    """

    def __init__(
        self,
        store: TaskStore,
        offer: Callable[[Sequence[Ready]], None],
        *,
        patience_s: float,
        max_backlog: int,
        max_waiting_per_equipment: int = 0,
        caller_share: int = 0,
    ) -> None:
        self._store = store
        self._offer = offer
        self._patience_s = patience_s
        self._max_backlog = max_backlog
        self._max_waiting = max_waiting_per_equipment
        self._caller_share = caller_share
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
            return await self._repeat(task)
        answer = await self._group.submit(task)
        if isinstance(answer, KeyConflictError):
            raise answer
        if isinstance(answer, LineFullError):
            raise BacklogFullError(await self._line_moves_in_s(task.equipment), of_equipment=True)
        return answer

    async def _repeat(self, task: NewTask) -> Accepted:
        """Answer a request that was accepted before, however many wait; refuse a new one."""
        answer = await self._store.find_repeat(task.idempotency) if task.idempotency else None
        if answer is None:
            raise BacklogFullError(self._retry_after_s())
        return answer

    async def run(self) -> None:
        """Commit what arrives and keep count of the backlog, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._group.run(), name="intake commits")
            if self._max_backlog:
                group.create_task(self._count_backlog(), name="intake backlog")

    async def _commit(self, tasks: Sequence[NewTask]) -> Sequence[Accepted | NotAccepted]:
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

    async def _store_patiently(self, tasks: Sequence[NewTask]) -> Sequence[Accepted | NotAccepted]:
        """Store the tasks; trying again is safe because their ids stay the same."""
        now = asyncio.get_running_loop().time
        give_up = now() + self._patience_s
        while True:
            try:
                return await self._store.accept(
                    tasks, max_waiting=self._max_waiting, share=self._caller_share
                )
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
        """Estimate when there is room again."""
        excess = self._backlog - self._max_backlog + 1
        if self._drained_per_s <= 0.0:
            return _LONGEST_RETRY_AFTER_S
        return _between_a_second_and_a_minute(excess / self._drained_per_s)

    async def _line_moves_in_s(self, equipment: str) -> int:
        """Estimate when the next task of an equipment ends: after as long as its last one ran."""
        ended = frozenset({State.SUCCEEDED, State.FAILED})
        last = await self._store.search(TaskQuery(states=ended, equipment=equipment, limit=1))
        for task in last.tasks:
            if task.finished_at is not None and task.started_at is not None:
                ran = task.finished_at - task.started_at
                return _between_a_second_and_a_minute(ran.total_seconds())
        return _LONGEST_RETRY_AFTER_S


def _between_a_second_and_a_minute(seconds: float) -> int:
    return min(_LONGEST_RETRY_AFTER_S, max(1, math.ceil(seconds)))
