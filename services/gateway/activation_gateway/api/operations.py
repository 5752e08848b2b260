"""For operators: to find tasks, to look into them, to cancel them and to try them again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from activation.domain.outcome import Reason
from activation.domain.task import State
from activation.ports import TaskStore
from activation.telemetry.metrics import count_end
from activation.telemetry.tracing import EQUIPMENT, TASK_ID, about, current_traceparent, link
from activation_gateway.api.address import found, read_task_id
from activation_gateway.api.answer import NOT_STORED, answer, body
from activation_gateway.api.audit import audited
from activation_gateway.api.listing import TaskFilter, TaskPage, write_cursor
from activation_gateway.api.representation import Representer
from activation_gateway.relay import QueueStatus


@body
@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """Tasks whose message is due and not confirmed by the broker."""

    unpublished: int
    age_seconds: Annotated[float, Field(description="How long the oldest has been due.")]


@body
@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """The queue as the broker tells; numbers are null while it is out of reach."""

    connected: bool
    ready: Annotated[int | None, Field(description="Messages that wait for a worker.")]
    consumers: int | None
    dead: Annotated[int | None, Field(description="Messages that no worker could read.")]


@body
@dataclass(frozen=True, slots=True)
class SystemStatus:
    """The whole system at a glance."""

    counts: Annotated[dict[State, int], Field(description="Tasks by state.")]
    dead_letters: int
    outbox: OutboxStatus
    oldest_queued_seconds: Annotated[
        float, Field(description="Since the oldest queued task was accepted; 0 without any.")
    ]
    queue: BrokerStatus


class OperationsApi:
    """Answers the requests of operators.

    Args:
        store: Where tasks are.
        represent: Shows tasks.
        queue_status: Asks the broker for the depth of the queues.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        represent: Representer,
        queue_status: Callable[[], Awaitable[QueueStatus]],
    ) -> None:
        self._store = store
        self._represent = represent
        self._queue_status = queue_status

    async def search(self, wanted: Annotated[TaskFilter, Query()]) -> Response:
        """List tasks, newest first, one page at a time."""
        page = await self._store.search(wanted.query())
        cursor = None if page.cursor is None else write_cursor(page.cursor)
        return _answer(TaskPage([self._represent.task(task) for task in page.tasks], cursor))

    async def show(self, request: Request) -> Response:
        """Show a task with its events and attempts."""
        task = found(await self._store.get(read_task_id(request.path_params["taskId"])))
        return _answer(self._represent.history(task, await self._store.history(task.id)))

    async def cancel(self, request: Request) -> Response:
        """Cancel a queued task at once, or ask a running one to make no further attempt (202).

        A task that ends otherwise before, or meanwhile, stays as it ended.
        """
        task_id = read_task_id(request.path_params["taskId"])
        with audited(request, "cancel", task_id=str(task_id)):
            cancelled = found(await self._store.cancel(task_id))
        task = cancelled.task
        if cancelled.ended:
            after_s = (self._store.now() - task.accepted_at).total_seconds()
            count_end(task.state, Reason.CANCELLED, dead_letter=False, after_s=after_s)
        status = HTTPStatus.ACCEPTED if task.state is State.RUNNING else HTTPStatus.OK
        return _answer(self._represent.task(task), status)

    async def retry(self, request: Request) -> Response:
        """Queue a failed task again, behind its device's unfinished ones, with all attempts.

        What follows is a trace of its own, linked to the one before.
        """
        task_id = read_task_id(request.path_params["taskId"])
        with audited(request, "retry", task_id=str(task_id)):
            before = found(await self._store.get(task_id))
            link(before.traceparent)
            with about({TASK_ID: str(task_id), EQUIPMENT: before.equipment}):
                task = found(await self._store.replay(task_id, current_traceparent()))
        return _answer(self._represent.task(task))

    async def status(self, _: Request) -> Response:
        """Count what is in the store and in the queue."""
        store, queue = await self._store.status(), await self._queue_status()
        return _answer(
            SystemStatus(
                counts=store.counts,
                dead_letters=store.dead_letters,
                outbox=OutboxStatus(store.unpublished, store.unpublished_age_s),
                oldest_queued_seconds=store.oldest_queued_s,
                queue=BrokerStatus(queue.connected, queue.ready, queue.consumers, queue.dead),
            )
        )


def _answer(body: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return answer(body, status, NOT_STORED)
