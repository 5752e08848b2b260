"""Who uses the system: clients that submit, and an operator who cancels."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import UUID

from activation.domain.task import IdempotencyKey, NewTask, TaskId
from activation.errors import TransitionError
from activation.ports import Cancellation
from tests.support.simulation.fleet import ConnectionLostError, Fleet, Life

DEVICES: Final = tuple(f"DEVICE{number}" for number in range(4))
CALLERS: Final = dict(zip(DEVICES, (None, "crm", "crm", "crm"), strict=True))
REQUESTS: Final = 12
ACTIVE_S: Final = 15.0
TIMEOUTS_S: Final = (2, 6, 30)  # some work takes longer than a lease
_PAUSE_S: Final = 2.0


@dataclass(eq=False)
class Request:
    """What one client wants, however often it must say so.

    Attributes:
        ids: The ids that gateways have given its submissions; each may have become a task.
        accepted: The tasks that answers with 200 named.
        asked_s: When it was sent first.
        answered_s: When the first 200 came.
    """

    equipment: str
    key: str | None
    timeout_s: int
    asked_s: float
    ids: list[TaskId] = field(default_factory=list)
    accepted: list[TaskId] = field(default_factory=list)
    answered_s: float | None = None


class Clients:
    """All of them.

    Attributes:
        requests: What they asked for.
        cancels: For which tasks a cancellation was asked, and what the answers were.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._random: Random = fleet.random
        self._given = 0
        self.requests: list[Request] = []
        self.cancels: dict[TaskId, list[Cancellation | None]] = {}

    async def run(self) -> None:
        """Have everybody do what they want, and wait until they know what became of it."""
        async with asyncio.TaskGroup() as group:
            for number in range(REQUESTS):
                group.create_task(self._want(number))

    async def _want(self, number: int) -> None:
        draw = self._random
        await asyncio.sleep(draw.random() * ACTIVE_S)
        keyed = draw.random() < 0.6
        key = f"key {number}" if keyed else None
        now = asyncio.get_running_loop().time()
        request = Request(draw.choice(DEVICES), key, draw.choice(TIMEOUTS_S), now)
        self.requests.append(request)
        async with asyncio.TaskGroup() as group:
            for _ in range(2 if keyed and draw.random() < 0.2 else 1):
                group.create_task(self._submit(request))
        if request.accepted and draw.random() < 0.15:
            await asyncio.sleep(draw.random() * 5.0)
            await self._cancel(request.accepted[0])

    async def _submit(self, request: Request) -> None:
        """Submit; with a key, until there is an answer."""
        while True:
            try:
                task_id = await self._ask(lambda life: self._accept(life, request))
            except ConnectionLostError:
                if request.key is None:
                    return
            else:
                request.accepted.append(task_id)
                request.answered_s = request.answered_s or asyncio.get_running_loop().time()
                return
            await asyncio.sleep(self._random.random() * _PAUSE_S)

    async def _accept(self, life: Life, request: Request) -> TaskId:
        self._given += 1
        new = NewTask(
            id=TaskId(UUID(int=self._given)),
            equipment=request.equipment,
            timeout_s=request.timeout_s,
            parameters="{}",
            idempotency=IdempotencyKey(request.key, "same") if request.key else None,
            caller=CALLERS[request.equipment],
        )
        request.ids.append(new.id)
        assert life.intake is not None
        return (await life.intake.accept(new)).task_id

    async def _cancel(self, task_id: TaskId) -> None:
        answers = self.cancels.setdefault(task_id, [])
        try:
            answers.append(await self._ask(lambda life: _cancel(life, task_id)))
        except ConnectionLostError:
            answers.append(None)

    async def _ask(self, ask: Any) -> Any:
        return await self._fleet.request(self._random.choice(self._fleet.gateways), ask)


async def _cancel(life: Life, task_id: TaskId) -> Cancellation | None:
    assert life.store is not None
    try:
        cancelled: Coroutine[Any, Any, Cancellation] = life.store.cancel(task_id)
        return await cancelled
    except TransitionError:
        return None
