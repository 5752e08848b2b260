"""The whole system as real processes, with a client that remembers what it asked for.

`System.account` compares what was asked for with the store and with the handler's ledger; every
fault and system test ends with it.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from activation_cli.local.ports import LOOPBACK
from activation_cli.verify.accountant import Account, Post, Row
from tests.support.exposition import Exposition
from tests.support.service import START_S, Service, eventually

END_S: Final = 60.0  # for all tasks to end
_POLL_S: Final = 0.05
_CLIENTS_PAUSE_S: Final = 0.2

# Quick enough for tests, and slow enough for a machine that does other things as well. The lease
# is long: a test that wants it to run out says so.
_SETTINGS: Final = {
    "host": LOOPBACK,
    "log_format": "json",
    "store_timeout_s": "2",
    "publish_lease_s": "2",
    "broker_timeout_s": "5",
    "reap_every_s": "0.5",
    "reap_patience_s": "1",
    "retry_base_s": "0.2",
    "lost_message_after_s": "2",
    "lease_s": "30",
    "drain_s": "20",
    "concurrency": "20",
}

# Errors that an operator shall see; every other line of that level is a fault of ours.
_MEANT_ERRORS: Final = frozenset({"task_ended", "message_unreadable"})


class System:
    """Handler, gateways and workers over a broker and a database, and their client.

    Args:
        folder: Where the logs go.
        amqp_url: The broker.
        database_url: The store.
        gateways: How many.
        workers: How many.
        handler_s: How long an activation takes.
        settings: Further settings of all services, such as `lease_s=3`.
    """

    def __init__(
        self,
        folder: Path,
        amqp_url: str,
        database_url: str,
        *,
        gateways: int = 1,
        workers: int = 1,
        handler_s: float = 0.2,
        **settings: object,
    ) -> None:
        self._folder = folder
        self._settings = _SETTINGS | {
            "amqp_url": amqp_url,
            "database_url": database_url,
            **{name: str(value) for name, value in settings.items()},
        }
        self._earlier_calls: list[Row] = []
        self._turn = itertools.count()
        self._http = httpx.AsyncClient(timeout=30.0, trust_env=False)
        self.posts: list[Post] = []
        handler = {"handler_seconds": str(handler_s)}
        self.handler = Service("handler", "handler", folder, _SETTINGS | handler)
        self.gateways: list[Service] = []
        self.workers: list[Service] = []
        for _ in range(gateways):
            self.add_gateway()
        for _ in range(workers):
            self.add_worker()

    def add_gateway(self, **settings: object) -> Service:
        """Make another gateway, not started yet, with settings of its own."""
        return self._add("gateway", self.gateways, settings)

    def add_worker(self, **settings: object) -> Service:
        """Make another worker, not started yet, with settings of its own."""
        return self._add("worker", self.workers, settings)

    def _add(self, package: str, to: list[Service], settings: Mapping[str, object]) -> Service:
        own = {name: str(value) for name, value in settings.items()}
        every = self._settings | {"handler_url": self.handler.url}
        service = Service(package, f"{package}-{len(to) + 1}", self._folder, every | own)
        to.append(service)
        return service

    @property
    def services(self) -> list[Service]:
        return [self.handler, *self.gateways, *self.workers]

    @property
    def gateway(self) -> Service:
        """A gateway that a load balancer would choose; each time the next one."""
        running = [one for one in self.gateways if one.running and not one.leaving]
        return running[next(self._turn) % len(running)]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def _start(self) -> None:
        for service in self.services:
            service.launch()
        await asyncio.gather(*(service.wait_ready() for service in self.services))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything; what was still running must leave in good order."""
        codes = await self._stop()
        if error is None:
            assert set(codes.values()) <= {0}, f"exit codes {codes}, logs in {self._folder}"

    async def _stop(self) -> dict[str, int | None]:
        running = [service for service in self.services if service.running]
        for service in running:
            service.resume()
        codes = await asyncio.gather(*(service.terminate() for service in running))
        await self._http.aclose()
        return {service.name: code for service, code in zip(running, codes, strict=True)}

    async def submit(
        self,
        equipment: str,
        *,
        timeout_s: int = 30,
        parameters: Any = None,
        key: str | None = None,
        gateway: Service | None = None,
    ) -> Post:
        """Send one POST, and remember it whatever becomes of it."""
        to = gateway or self.gateway
        sent_at = time.monotonic()
        status, task_id = None, None
        try:
            answer = await self._http.post(
                f"{to.url}/api/v1/equipment/cpe/{equipment}",
                json={"timeoutInSeconds": timeout_s, "parameters": parameters or {}},
                headers={"Idempotency-Key": key} if key is not None else None,
            )
            status, task_id = answer.status_code, answer.json().get("taskId")
        except httpx.TransportError:
            pass  # the gateway was killed
        post = Post(equipment, key, sent_at, time.monotonic(), status, task_id)
        self.posts.append(post)
        return post

    async def request(
        self, method: str, path: str, *, gateway: Service | None = None, **request: Any
    ) -> httpx.Response:
        """Send any request to a gateway, as any client may."""
        to = gateway or self.gateway
        return await self._http.request(method, f"{to.url}{path}", **request)

    async def submit_surely(self, equipment: str, *, key: str, limit_s: float = 60.0) -> str:
        """Submit as a careful client does: again, with the same key, until it is accepted."""

        async def accepted() -> str | None:
            if not any(gateway.running for gateway in self.gateways):
                return None
            post = await self.submit(equipment, key=key)
            if not post.accepted:
                await asyncio.sleep(_CLIENTS_PAUSE_S)
            return post.task_id

        return await eventually(accepted, limit_s=limit_s, what=f"an answer for {key}") or ""

    async def submit_many(
        self, devices: Iterable[str], *, each: int = 1, timeout_s: int = 30
    ) -> list[str]:
        """Submit tasks for devices, those of one device one after the other; all are accepted."""

        async def submit_line(device: str) -> list[Post]:
            return [await self.submit(device, timeout_s=timeout_s) for _ in range(each)]

        lines = await asyncio.gather(*map(submit_line, devices))
        posts = [post for line in lines for post in line]
        refused = [post for post in posts if not post.accepted]
        assert not refused, refused
        return [post.task_id for post in posts if post.task_id is not None]

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """Ask a gateway that runs; at first it may just be starting, or without its store."""
        last: httpx.Response | httpx.TransportError | None = None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                last = await self._http.get(f"{self.gateway.url}{path}", params=query)
                if last.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return last
            except httpx.TransportError as error:
                last = error
            await asyncio.sleep(_POLL_S)
        raise AssertionError(f"no answer to GET {path}: {last!r}")

    async def tasks(self, **query: Any) -> list[Row]:
        """Return the tasks in the store, in the order accepted."""
        found: list[Row] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await self.get("/api/v1/tasks", limit=500, **cursor, **query)).json()
            found.extend(page["tasks"])
            if page["cursor"] is None:
                return found[::-1]
            cursor = {"cursor": page["cursor"]}

    async def task(self, task_id: str) -> Row:
        """Return a task with its events and attempts."""
        row: Row = (await self.get(f"/api/v1/tasks/{task_id}")).json()
        return row

    async def status(self) -> Row:
        """Return the numbers of store and queue."""
        row: Row = (await self.get("/api/v1/status")).json()
        return row

    async def calls(self) -> list[Row]:
        """Return the calls that reached the handler, in the order in which they came."""
        ledger = (await self._http.get(f"{self.handler.url}/ledger")).json()
        return [*self._earlier_calls, *ledger["calls"]]

    async def questions(self) -> list[Row]:
        """Return the questions about calls that reached the handler since it was started."""
        questions: list[Row] = (await self._http.get(f"{self.handler.url}/ledger")).json()[
            "questions"
        ]
        return questions

    async def calls_in_progress(self) -> list[Row]:
        """Return the calls that the handler works on."""
        return [call for call in await self.calls() if call["ended_at"] is None]

    async def script(self, steps: Sequence[Row], equipment: str = "*") -> None:
        """Tell the handler what to do, as its `POST /script` says."""
        script = {"equipment": equipment, "steps": steps}
        answer = await self._http.post(f"{self.handler.url}/script", json=script)
        assert answer.status_code == httpx.codes.CREATED, answer.text

    async def kill_handler(self) -> None:
        """Kill the handler; what its ledger held is kept for the account."""
        calls = await self.calls()
        self.handler.kill()
        died_at = time.time()
        for call in calls:
            if call["ended_at"] is None:
                call |= {"ended_at": died_at, "outcome": "killed"}
        self._earlier_calls = calls

    async def admin(self, service: Service, path: str, *, accept: str = "*/*") -> str:
        """Return what the admin port of a service says."""
        return (await self._http.get(f"{service.admin_url}{path}", headers={"Accept": accept})).text

    async def metrics(self, service: Service) -> dict[str, float]:
        """Return what a service counts: `name`, or `name{label=value}`, and its value."""
        return Exposition.of_plain_text(await self.admin(service, "/metrics")).values()

    async def wait_all_ended(self, limit_s: float = END_S) -> None:
        """Wait until the store has no unfinished task."""

        async def unfinished() -> list[Row]:
            counts = (await self.status())["counts"]
            if counts["queued"] + counts["running"] == 0:
                return []
            return await self.tasks(state=["queued", "running"])

        deadline = time.monotonic() + limit_s
        while left := await unfinished():
            if time.monotonic() > deadline:
                rows = "\n".join(map(str, left[:20]))
                raise AssertionError(
                    f"{len(left)} tasks did not end within {limit_s:g} s, "
                    f"logs in {self._folder}:\n{rows}"
                )
            await asyncio.sleep(_POLL_S)

    async def account(self) -> Account:
        """Compare everything that was asked for with the store and the ledger.

        Raises:
            AssertionError: They disagree; with the rows concerned, and where the logs are.
        """
        account = Account(self.posts, await self.tasks(), await self.calls())
        faults = [f"{found.what}: {found.row}" for found in account.findings()]
        faults += self.complaints()
        report = "\n".join(faults[:50])
        assert not faults, f"{len(faults)} faults, logs in {self._folder}:\n{report}"
        return account

    def complaints(self) -> list[str]:
        """Return the lines of the logs that say that a service itself is at fault."""
        return [
            f"{service.name}: {line}"
            for service in self.services
            if service.log.exists()
            for line in service.log_lines()
            if _is_complaint(line)
        ]


def _is_complaint(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return True  # a warning or a stack of Python's own
    return entry["level"] in {"error", "critical"} and entry["event"] not in _MEANT_ERRORS
