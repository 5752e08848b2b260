"""A batch on virtual time, against a gateway of a few lines."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from activation_cli.batch.outcomes import ACCEPTED, MISSING, REJECTED, Outcome, ResultFile
from activation_cli.batch.rows import Row
from activation_cli.batch.runner import Batch
from activation_cli.client import Gateway
from activation_cli.documents import Acceptance, Page, Task
from activation_cli.exits import CommandError, Exit, UnavailableError
from activation_cli.patience import Patience
from activation_cli.task_filter import TaskFilter

pytestmark = pytest.mark.looptime

STEP_S = 0.1  # one request takes so long


class FewLinesGateway(Gateway):
    """Accepts everything, and ends a task so many seconds after it was accepted."""

    def __init__(self, runs_s: float = 0.0) -> None:
        self.runs_s = runs_s
        self.tasks_by_key: dict[str, str] = {}
        self.ends_at: dict[str, float] = {}
        self.posts: list[str] = []
        self.faults: dict[str, list[CommandError]] = {}  # by equipment, raised one after the other
        self.at_once = self.most_at_once = 0

    async def submit(self, equipment: str, *, key: str, **_: Any) -> Acceptance:
        async with self._request():
            self.posts.append(key)
            if self.faults.get(equipment):
                raise self.faults[equipment].pop(0)
            task_id = self.tasks_by_key.setdefault(key, new_id(len(self.tasks_by_key)))
            self.ends_at.setdefault(task_id, self._now() + self.runs_s)
            return {"code": 200, "taskId": task_id}

    async def tasks(self, which: TaskFilter, **_: Any) -> Page:
        async with self._request():
            assert {"queued", "running"} == set(which.states)
            running = [task_id for task_id, end in self.ends_at.items() if end > self._now()]
            return {"tasks": [{"taskId": task_id} for task_id in running], "cursor": None}

    async def task(self, task_id: str) -> Task:
        async with self._request():
            if task_id not in self.ends_at:
                raise CommandError("The requested task is not found", Exit.NOT_FOUND)
            ended = self.ends_at[task_id] <= self._now()
            return {"taskId": task_id, "state": "succeeded" if ended else "running"}

    @asynccontextmanager
    async def _request(self) -> AsyncIterator[None]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(STEP_S)
            yield
        finally:
            self.at_once -= 1

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def new_id(number: int) -> str:
    """Make a UUIDv7 of a fixed time."""
    return str(UUID(f"0197c1a0-0000-7000-8000-{number:012}"))


def rows(count: int) -> list[Row]:
    """Make good rows."""
    return [Row(line, f"DEVICE{line}", None, {}, f"key-{line}") for line in range(2, count + 2)]


async def run(
    gateway: FewLinesGateway,
    path: Path,
    batch: Iterable[Row],
    *,
    to_end: bool = True,
    concurrency: int = 4,
) -> dict[int, str]:
    """Run a batch; gives the states in the result file by line."""
    shown: dict[int, str] = {}

    def show(outcome: Outcome) -> None:
        shown[outcome.line] = outcome.state

    with ResultFile(path) as results:
        await Batch(
            gateway,
            results,
            patience=Patience(lambda _: None),
            show=show,
            concurrency=concurrency,
        ).run(list(batch), to_end=to_end)
    return shown


async def test_every_row_is_followed_to_its_end(tmp_path: Path) -> None:
    """All tasks end, each was asked for once, and the result file says so."""
    gateway = FewLinesGateway(runs_s=60)

    states = await run(gateway, tmp_path / "r.csv", rows(10))

    assert states == dict.fromkeys(range(2, 12), "succeeded")
    assert sorted(gateway.posts) == sorted(row.key for row in rows(10))


async def test_concurrency_is_bounded_and_used(tmp_path: Path) -> None:
    """Forty requests of a tenth of a second, four at once, take a second."""
    gateway = FewLinesGateway()
    loop = asyncio.get_running_loop()
    begun = loop.time()

    await run(gateway, tmp_path / "r.csv", rows(40), to_end=False)

    assert loop.time() - begun == pytest.approx(1.0)
    assert gateway.most_at_once == 4


async def test_looking_for_ends_is_rare_however_many_run(tmp_path: Path) -> None:
    """A hundred tasks of ten minutes cost a list a second, and not a request each."""
    gateway = FewLinesGateway(runs_s=600)
    looks = 0
    listing = gateway.tasks

    async def counted(which: TaskFilter, **more: Any) -> Page:
        nonlocal looks
        looks += 1
        return await listing(which, **more)

    gateway.tasks = counted  # type: ignore[method-assign]  # to count its calls

    states = await run(gateway, tmp_path / "r.csv", rows(100))

    assert set(states.values()) == {"succeeded"}
    assert looks <= 601


async def test_not_waiting_ends_with_the_last_acceptance(tmp_path: Path) -> None:
    """The outcomes are acceptances, kept for a later look."""
    path = tmp_path / "r.csv"
    gateway = FewLinesGateway(runs_s=60)

    first = await run(gateway, path, rows(3), to_end=False)
    later = await run(gateway, path, rows(3))

    assert set(first.values()) == {ACCEPTED}
    assert set(later.values()) == {"succeeded"}
    assert len(gateway.posts) == 3


async def test_row_with_a_task_is_never_sent_again(tmp_path: Path) -> None:
    """Not even if the gateway has forgotten the key, or the task itself."""
    path = tmp_path / "r.csv"
    with ResultFile(path) as results:
        results.record(rows(1)[0].outcome(ACCEPTED, task_id=new_id(7)))
    gateway = FewLinesGateway()

    states = await run(gateway, path, rows(1))
    again = await run(gateway, path, rows(1))

    assert states == again == {2: MISSING}
    assert gateway.posts == []


async def test_interrupted_batch_goes_on_without_second_tasks(tmp_path: Path) -> None:
    """Cut at any moment, and run again: one task for each row, and all of them end."""
    for cut_s in (0.0, 0.05, 0.15, 0.35, 1.05, 5.0):
        path = tmp_path / f"{cut_s}.csv"
        gateway = FewLinesGateway(runs_s=60)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(cut_s):
                await run(gateway, path, rows(10))
        states = await run(gateway, path, rows(10))

        assert states == dict.fromkeys(range(2, 12), "succeeded")
        assert len(gateway.tasks_by_key) == 10


async def test_refused_row_is_an_outcome_and_the_others_go_on(tmp_path: Path) -> None:
    """The reason is in the result file; the row is tried again with the next run."""
    path = tmp_path / "r.csv"
    gateway = FewLinesGateway()
    gateway.faults["DEVICE3"] = [CommandError("/timeoutInSeconds: too large", Exit.USAGE)]

    states = await run(gateway, path, rows(3))
    refused = ResultFile(path).known("key-3")
    again = await run(gateway, path, rows(3))

    assert states == {2: "succeeded", 3: REJECTED, 4: "succeeded"}
    assert refused is not None
    assert refused.detail == "/timeoutInSeconds: too large"
    assert again[3] == "succeeded"


async def test_busy_gateway_is_asked_when_it_says(tmp_path: Path) -> None:
    """429 with Retry-After delays a row, and loses none."""
    gateway = FewLinesGateway()
    gateway.faults["DEVICE2"] = [UnavailableError("busy", retry_after_s=30)] * 3
    loop = asyncio.get_running_loop()
    begun = loop.time()

    states = await run(gateway, tmp_path / "r.csv", rows(5), to_end=False)

    assert set(states.values()) == {ACCEPTED}
    assert 90 <= loop.time() - begun < 92
    assert gateway.posts.count("key-2") == 4


async def test_gateway_that_stays_away_ends_the_batch_and_keeps_what_is_known(
    tmp_path: Path,
) -> None:
    """The error is the gateway's, as it came; the accepted rows are in the file."""
    path = tmp_path / "r.csv"
    gateway = FewLinesGateway(runs_s=60)
    gateway.faults["DEVICE5"] = [UnavailableError("refused")] * 1_000

    with pytest.raises(UnavailableError, match="refused"):
        await run(gateway, path, rows(4))

    assert set(ResultFile(path).keys()) == {"key-2", "key-3", "key-4"}


async def test_outage_while_waiting_for_ends_is_borne(tmp_path: Path) -> None:
    """A gateway that is restarted in the meantime loses nothing."""
    gateway = FewLinesGateway(runs_s=60)
    listing = gateway.tasks
    left = 5

    async def flaky(which: TaskFilter, **more: Any) -> Page:
        nonlocal left
        left -= 1
        if left >= 0:
            raise UnavailableError("refused")
        return await listing(which, **more)

    gateway.tasks = flaky  # type: ignore[method-assign]  # to break its first calls

    states = await run(gateway, tmp_path / "r.csv", rows(3))

    assert set(states.values()) == {"succeeded"}
