"""One transaction, and the steps that the store's operations share."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Executable

from activation.clock import Clock
from activation.domain.task import State, Task, TaskId
from activation.ports import Result
from activation.store.sql import queries
from activation.store.sql.batch import encode
from activation.store.sql.database import Connection, Rows
from activation.store.sql.notices import write_notice
from activation.store.sql.results import Fence, end_event, end_row, fence
from activation.store.sql.statements import Statements


class Transaction:
    """A connection on which a transaction is open; implements `Connection`.

    Args:
        connection: Committed, or rolled back, by whoever opened the transaction.
        do: The statements in the dialect of the connection.
        clock: Time for leases and retries.
    """

    def __init__(self, connection: Connection, do: Statements, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.do = do

    def now(self) -> datetime:
        """Return the time that leases and retries are measured by."""
        return self._clock.now()

    async def fetch(self, statement: Executable, given: Mapping[str, Any] | None = None) -> Rows:
        """Run a statement with the values of its parameters; no rows if it returns none."""
        return await self._connection.fetch(statement, given)

    async def lock(self, devices: Iterable[str]) -> None:
        """Let nobody else move the lines of these devices until the transaction ends."""
        if self.do.lock_devices is not None:
            await self.fetch(self.do.lock_devices, {"batch": _encode_devices(devices)})

    async def lock_task(self, task_id: TaskId) -> Task | None:
        """Read a task while nobody else can move its device's line; None if there is none."""
        task = await queries.get(self, task_id)
        if task is None:
            return None
        await self.lock([task.equipment])
        return await queries.get(self, task_id)

    async def promote(
        self, devices: Iterable[str], now: datetime, *, publish_at: datetime | None = None
    ) -> set[TaskId]:
        """Let the next of each device step forward; returns who did."""
        given = {"batch": _encode_devices(devices), "now": now, "publish_at": publish_at or now}
        return {row["id"] for row in await self.fetch(self.do.promote, given)}

    async def record(self, now: datetime, happened: list[dict[str, Any]]) -> None:
        """Append events, made by `event_row`, in their order."""
        if happened:
            await self.fetch(self.do.record_events, {"events": encode(happened), "now": now})

    async def tell(self, *, ready: bool, ended: Iterable[TaskId]) -> None:
        """Notify other processes at the commit; on SQLite they see every commit by themselves."""
        if self.do.recording:
            await self.fetch(self.do.notify, {"notice": write_notice(ready=ready, ended=ended)})

    async def end(self, results: Collection[Result], statement: Executable) -> dict[Fence, State]:
        """Write ends, their events, and whose turn is next; returns the states written."""
        devices = {result.claim.equipment for result in results}
        await self.lock(devices)
        now = self.now()
        rows = encode(end_row(result, now) for result in results)
        ended = await self.fetch(statement, {"batch": rows, "now": now})
        states = {(TaskId(row["id"]), row["attempt"]): State(row["state"]) for row in ended}
        if states:
            written = [result for result in results if fence(result) in states]
            happened = [end_event(one, states[fence(one)], now) for one in written]
            over = [task_id for (task_id, _), state in states.items() if state is not State.QUEUED]
            await self._pass_on(devices, now, happened, over=over, again=len(states) > len(over))
        return states

    async def _pass_on(
        self,
        devices: Iterable[str],
        now: datetime,
        happened: list[dict[str, Any]],
        *,
        over: Collection[TaskId],
        again: bool,
    ) -> None:
        """Record what happened, and let the next of each device, and who waits for an end, know.

        `over` are the tasks that ended; `again` says that others are queued once more.
        """
        if not self.do.recording:
            await self.record(now, happened)
            await self.promote(devices, now)
            return
        given = {
            "events": encode(happened),
            "batch": _encode_devices(devices),
            "now": now,
            "publish_at": now,
            "notice": write_notice(ready=again, ended=over),
            "notice_if_ready": write_notice(ready=True, ended=over),
        }
        await self.fetch(self.do.pass_on, given)


def _encode_devices(devices: Iterable[str]) -> str:
    return encode({"equipment": device} for device in devices)
