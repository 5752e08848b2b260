"""A client of a whole system that remembers what it asked for, and has it accounted for."""

import asyncio
import itertools
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import httpx

from activation_cli.verify.accountant import Account, Post, Row
from tests.support.patience import eventually

TIMEOUT_S: Final = 60  # of one attempt, if nothing else is said
END_S: Final = 180.0  # for all tasks to end
_PATIENCE_S: Final = 120.0  # for a gateway that is being replaced, or without its store
_AT_ONCE: Final = 8


class Client:
    """Submits tasks for devices of its own and looks at what became of them.

    Args:
        gateway_url: The API, by an address that outlives its pods.
        handler_url: The mock handler, for its ledger.
        name: Begins the serial numbers of its devices; others' tasks are none of its business.
    """

    def __init__(self, gateway_url: str, handler_url: str, name: str) -> None:
        self.gateway_url = gateway_url
        self._name = name
        self._devices = itertools.count()
        self._handler_url = handler_url
        # Each request has a connection of its own: it reaches whichever pod there is now.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False, limits=limits)
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self.posts: list[Post] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    def devices(self, count: int) -> list[str]:
        """Return devices that had no task before."""
        return [f"{self._name}X{next(self._devices)}" for _ in range(count)]

    def _is_mine(self, row: Row) -> bool:
        return str(row["equipment"]).startswith(f"{self._name}X")

    async def request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send any request to a gateway."""
        return await self._http.request(method, f"{self.gateway_url}{path}", **request)

    async def submit(
        self, equipment: str, *, key: str | None = None, timeout_s: int = TIMEOUT_S
    ) -> Post:
        """Send one POST, and remember it whatever becomes of it."""
        sent_at = time.monotonic()
        status, task_id = None, None
        try:
            answer = await self.request(
                "POST",
                f"/api/v1/equipment/cpe/{equipment}",
                json={"parameters": {}, "timeoutInSeconds": timeout_s},
                headers={"Idempotency-Key": key} if key is not None else None,
            )
            status, task_id = answer.status_code, answer.json().get("taskId")
        except httpx.TransportError:
            pass  # the pod that had it was killed
        post = Post(equipment, key, sent_at, time.monotonic(), status, task_id)
        self.posts.append(post)
        return post

    async def submit_surely(self, equipment: str, *, timeout_s: int = TIMEOUT_S) -> str:
        """Submit as a careful client does: again, with the same key, until it is accepted."""

        async def accepted() -> str | None:
            post = await self.submit(equipment, key=f"once-{equipment}", timeout_s=timeout_s)
            return post.task_id

        async with self._at_once:
            what = f"an answer for {equipment}"
            return await eventually(accepted, limit_s=_PATIENCE_S, what=what) or ""

    async def submit_all(self, devices: Iterable[str], *, timeout_s: int = TIMEOUT_S) -> list[str]:
        """Submit a task for each device; all are accepted in the end."""
        return await asyncio.gather(
            *(self.submit_surely(device, timeout_s=timeout_s) for device in devices)
        )

    async def get(self, path: str, **query: Any) -> Any:
        """Return what a gateway says, as soon as there is one that can."""

        async def answered() -> httpx.Response | None:
            try:
                answer = await self.request("GET", path, params=query)
            except httpx.TransportError:
                return None
            return answer if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR else None

        answer = await eventually(answered, limit_s=_PATIENCE_S, what=f"an answer to GET {path}")
        assert answer is not None
        assert answer.is_success, answer.text
        return answer.json()

    async def tasks(self) -> list[Row]:
        """Return the tasks of its devices in the store, in the order accepted."""
        found: list[Row] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get("/api/v1/tasks", limit=500, **cursor)
            found.extend(page["tasks"])
            if page["cursor"] is None:
                return [task for task in found[::-1] if self._is_mine(task)]
            cursor = {"cursor": page["cursor"]}

    async def unfinished(self) -> int:
        """Return how many tasks wait or run."""
        counts = (await self.get("/api/v1/status"))["counts"]
        return int(counts["queued"] + counts["running"])

    async def calls(self) -> list[Row]:
        """Return the calls for its devices that reached the handler, in the order they came."""

        async def ledger() -> httpx.Response | None:
            try:
                return await self._http.get(f"{self._handler_url}/ledger")
            except httpx.TransportError:
                return None  # kubectl port-forward gave up, and is begun again

        answer = await eventually(ledger, limit_s=_PATIENCE_S, what="the handler's ledger")
        assert answer is not None
        return [call for call in answer.json()["calls"] if self._is_mine(call)]

    async def script(self, equipment: str, *steps: Row) -> None:
        """Tell the handler what to do with a device, or with all (`*`): its `POST /script`."""
        script = {"equipment": equipment, "steps": steps}
        answer = await self._http.post(f"{self._handler_url}/script", json=script)
        assert answer.is_success, answer.text

    async def wait_in_progress(self, count: int) -> None:
        """Wait until the handler works on so many calls."""

        async def busy() -> bool:
            return sum(call["ended_at"] is None for call in await self.calls()) >= count

        await eventually(busy, limit_s=END_S, what=f"{count} calls in progress")

    async def wait_all_ended(self, limit_s: float = END_S) -> None:
        """Wait until the store has no unfinished task."""

        async def all_ended() -> bool:
            return await self.unfinished() == 0

        await eventually(all_ended, limit_s=limit_s, what="the end of all tasks")

    async def account(self) -> Account:
        """Compare everything that was asked for with the store and the ledger.

        Raises:
            AssertionError: They disagree; with the rows concerned.
        """
        await self.wait_all_ended()
        account = Account(self.posts, await self.tasks(), await self.calls())
        faults = [f"{found.what}: {found.row}" for found in account.findings()]
        assert not faults, "\n".join([f"{len(faults)} faults", *faults[:50]])
        return account
