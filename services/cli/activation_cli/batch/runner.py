"""Doing a batch: requests with bounded concurrency, and a look now and then at who has ended."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from activation.domain.task import UNFINISHED
from activation_cli.batch.outcomes import ACCEPTED, MISSING, REJECTED, Outcome, ResultFile
from activation_cli.batch.rows import Row
from activation_cli.documents import Task, has_ended
from activation_cli.exits import CommandError, Exit
from activation_cli.patience import Patience
from activation_cli.side_by_side import for_each, together
from activation_cli.task_filter import TaskFilter

if TYPE_CHECKING:
    from activation_cli.client import Gateway

_LOOK_EVERY_S: Final = 1.0
_REST: Final = 5  # times as long as a look took, so that looking never becomes the gateway's work
_CLOCKS_APART: Final = timedelta(minutes=1)  # between gateways; more only makes looks slower


class Batch:
    """Rows on their way to tasks, and tasks on their way to an end.

    Args:
        gateway: Where the requests go.
        results: What is known of the rows from before, and remembered of them now.
        patience: For a gateway that is busy or away.
        show: Called with each new outcome.
        concurrency: Requests at once.
    """

    def __init__(
        self,
        gateway: "Gateway",
        results: ResultFile,
        *,
        patience: Patience,
        show: Callable[[Outcome], None],
        concurrency: int,
    ) -> None:
        self._gateway = gateway
        self._results = results
        self._patience = patience
        self._show = show
        self._concurrency = concurrency
        self._pending: dict[str, Row] = {}  # by task id: accepted, end not known
        self._sending = True

    async def run(self, rows: Sequence[Row | Outcome], *, to_end: bool) -> None:
        """Send the rows that have no task yet; those that cannot be sent are only recorded.

        Args:
            rows: Those that have ended before must not be among them.
            to_end: Return when every task has ended, and not when all are accepted.

        Raises:
            UnavailableError: The gateway was away for too long.
        """
        unsent = []
        for row in rows:
            known = self._results.known(row.key)
            if isinstance(row, Outcome):
                self._record(row)
            elif known is None or known.state == REJECTED:
                unsent.append(row)
            else:
                self._pending[known.task_id] = row
                self._show(known)
        if to_end:
            await together(self._send_all(unsent), self._await_ends())
        else:
            await self._send_all(unsent)

    async def _send_all(self, rows: Sequence[Row]) -> None:
        await for_each(rows, self._send, at_once=self._concurrency)
        self._sending = False

    async def _send(self, row: Row) -> None:
        try:
            answer = await self._patience(
                partial(
                    self._gateway.submit,
                    row.equipment,
                    parameters=row.parameters,
                    timeout_s=row.timeout_s,
                    key=row.key,
                )
            )
        except CommandError as error:
            if error.code is Exit.UNREACHABLE:
                raise
            self._record(row.outcome(REJECTED, detail=str(error)))
        else:
            self._pending[answer["taskId"]] = row
            self._record(row.outcome(ACCEPTED, task_id=answer["taskId"]))

    async def _await_ends(self) -> None:
        """Settle, time and again, the tasks that are no longer among the unfinished ones."""
        loop = asyncio.get_running_loop()
        pause_s = _LOOK_EVERY_S
        while self._sending or self._pending:
            await asyncio.sleep(pause_s)
            asked = list(self._pending)  # before the list is made: later ones are not judged by it
            if not asked:
                continue
            begun = loop.time()
            unfinished = await self._unfinished(min(map(_accepted_at, asked)) - _CLOCKS_APART)
            pause_s = max(_LOOK_EVERY_S, _REST * (loop.time() - begun))
            ended = [task_id for task_id in asked if task_id not in unfinished]
            await for_each(ended, self._settle, at_once=self._concurrency)

    async def _unfinished(self, since: datetime) -> set[str]:
        which = TaskFilter(states=tuple(UNFINISHED), accepted_from=since)
        page = await self._patience(partial(self._gateway.tasks, which))
        return {task["taskId"] for task in page["tasks"]}

    async def _settle(self, task_id: str) -> None:
        row = self._pending[task_id]
        try:
            task = await self._patience(partial(self._gateway.task, task_id))
        except CommandError as error:
            if error.code is not Exit.NOT_FOUND:
                raise
            self._record(row.outcome(MISSING, task_id=task_id, detail=str(error)))
        else:
            if not has_ended(task):
                return
            self._record(_end(row, task))
        del self._pending[task_id]

    def _record(self, outcome: Outcome) -> None:
        self._results.record(outcome)
        self._show(outcome)


def _end(row: Row, task: Task) -> Outcome:
    return row.outcome(
        task["state"],
        task_id=task["taskId"],
        reason=task.get("reason") or "",
        detail=task.get("detail") or "",
    )


def _accepted_at(task_id: str) -> datetime:
    """Read the time out of a UUIDv7 (RFC 9562 section 5.7): its first 48 bits, in milliseconds."""
    return datetime.fromtimestamp((UUID(task_id).int >> 80) / 1000, UTC)
