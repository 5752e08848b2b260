"""The evidence: once all is quiet, what the store and the handler say is gathered."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

import httpx

from activation_cli.client import Gateway
from activation_cli.documents import Task, has_ended
from activation_cli.exits import CommandError, Exit
from activation_cli.patience import Patience
from activation_cli.task_filter import TaskFilter
from activation_cli.verify.accountant import Account, Post, Row
from activation_cli.verify.mock_handler import MockHandler

_LOOK_EVERY_S: Final = 0.3


class Evidence:
    """Asks a gateway and a handler.

    Args:
        gateway: Its listing of tasks shows the store.
        patience: Asks again while it is away.
        mock: The handler with the ledger; None if its address is not known.
        devices: Ours, where there are others' tasks as well; None where all are ours.
        tell: Is told how many tasks have not ended.
    """

    def __init__(
        self,
        gateway: Gateway,
        patience: Patience,
        mock: MockHandler | None,
        *,
        devices: Sequence[str] | None,
        tell: Callable[[int], None],
    ) -> None:
        self._gateway = gateway
        self._patience = patience
        self._mock = mock
        self._devices = devices
        self._tell = tell

    async def gather(self, posts: Sequence[Post], *, limit_s: float) -> Account:
        """Wait until all tasks and calls have ended, and return what there is then.

        What has not ended within the limit is lost: that is for the accountant to say.

        Raises:
            CommandError: The gateway is out of reach, or the ledger is none.
        """
        deadline = asyncio.get_running_loop().time() + limit_s
        open_devices = self._devices
        while True:
            tasks = await self._tasks(open_devices)
            unfinished = [task for task in tasks if not has_ended(task)]
            calls = await self._calls()
            self._tell(len(unfinished))
            in_progress = any(call["ended_at"] is None for call in calls or ())
            if not unfinished and not in_progress:
                break
            if asyncio.get_running_loop().time() > deadline:
                break
            if self._devices is not None:
                open_devices = sorted({task["equipment"] for task in unfinished})
            await asyncio.sleep(_LOOK_EVERY_S)
        return Account(posts, cast("list[Row]", await self._tasks(self._devices)), calls)

    async def _tasks(self, devices: Iterable[str] | None) -> list[Task]:
        """Return tasks, those of a device in the order accepted."""
        if devices is None:
            return await self._list(TaskFilter())
        lists = [await self._list(TaskFilter(equipment=device)) for device in devices]
        return [task for tasks in lists for task in tasks]

    async def _list(self, which: TaskFilter) -> list[Task]:
        page = await self._patience(lambda: self._gateway.tasks(which))
        return page["tasks"][::-1]

    async def _calls(self) -> list[Row] | None:
        if self._mock is None:
            return None
        try:
            calls = await self._mock.calls()
        except httpx.TransportError as error:
            raise _unreachable(error) from error
        ours = None if self._devices is None else set(self._devices)
        return [call for call in calls if ours is None or call["equipment"] in ours]


def _unreachable(error: httpx.TransportError) -> CommandError:
    return CommandError(f"cannot reach the handler's ledger: {error}", Exit.UNREACHABLE)
