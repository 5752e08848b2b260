"""Random operations: every store does what the memory store does, and no line is ever torn."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise
from random import Random
from typing import TypeVar

import pytest

from activation.domain.task import (
    ENDED,
    FOLLOWS,
    UNFINISHED,
    Claim,
    Event,
    EventName,
    NewTask,
    State,
    Task,
    TaskId,
    attempts,
)
from activation.errors import TransitionError
from activation.ports import Accepted, Cancellation, Ready, Reaped, Result, TaskQuery, TaskStore
from activation.store.memory import MemoryStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    LEASE_S,
    at_most,
    failure,
    hand_back,
    new_task,
    retry,
    success,
    used_up,
)

OPERATIONS = 150
DEVICES = [f"DEVICE{n}" for n in range(4)]
MAX_ATTEMPTS = 3
EVERYTHING = 1_000  # a limit that is never reached

LEADS_TO = {
    EventName.ACCEPTED: State.QUEUED,
    EventName.STARTED: State.RUNNING,
    EventName.RETRY_SCHEDULED: State.QUEUED,
    EventName.HANDED_BACK: State.QUEUED,
    EventName.LEASE_EXPIRED: State.QUEUED,
    EventName.SUCCEEDED: State.SUCCEEDED,
    EventName.FAILED: State.FAILED,
    EventName.CANCELLED: State.CANCELLED,
    EventName.REPLAYED: State.QUEUED,
}

ENDS = [success, failure, used_up, retry, hand_back]

T = TypeVar("T")


@pytest.mark.parametrize("seed", range(3))
async def test_random_operations_do_the_same_as_in_the_model(
    store: TaskStore, clock: VirtualClock, seed: int
) -> None:
    """Lines are whole after each step; in the end each task has ended, as its history tells."""
    world = World(store, MemoryStore(clock), clock, Random(seed))  # noqa: S311  # no secret

    for _ in range(OPERATIONS):
        await world.do_something()
        assert_lines_are_whole(await world.tasks())
    await world.run_everything()

    tasks = await world.tasks()
    assert {task.state for task in tasks} <= ENDED
    for task in tasks:
        assert_history_leads_to(task, await world.history(task.id))
    assert_order_was_kept(tasks, world.first_starts, world.replayed)


def assert_lines_are_whole(tasks: Sequence[Task]) -> None:
    """Each device with unfinished tasks has one that is first in line; only that one may run."""
    lines: defaultdict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.state in UNFINISHED:
            lines[task.equipment].append(task)
        else:
            assert not task.first_in_line
    for line in lines.values():
        [first] = [task for task in line if task.first_in_line]
        assert all(task is first or task.state is State.QUEUED for task in line)


def assert_history_leads_to(task: Task, history: Sequence[Event]) -> None:
    """Every event is a step of the state table, and the last one leads to where the task is."""
    accepted, *steps = history
    state = LEADS_TO[accepted.name]
    for event in steps:
        if event.name is EventName.CANCEL_REQUESTED:
            assert state is State.RUNNING
            continue
        assert LEADS_TO[event.name] in FOLLOWS[state]
        state = LEADS_TO[event.name]
    assert state is task.state
    assert len(attempts(history)) == task.attempt
    assert all(before.at <= after.at for before, after in pairwise(history))


def assert_order_was_kept(
    tasks: Sequence[Task], first_starts: list[TaskId], replayed: set[TaskId]
) -> None:
    """Tasks of a device began in the order accepted, leaving out what was replayed."""
    place = {task.id: n for n, task in enumerate(reversed(tasks))}
    device = {task.id: task.equipment for task in tasks}
    for equipment in DEVICES:
        began = [
            place[task_id]
            for task_id in first_starts
            if device[task_id] == equipment and task_id not in replayed
        ]
        assert began == sorted(began)
        assert began


class World:
    """A store and its model, to which the same things happen; their answers must be the same."""

    def __init__(
        self, store: TaskStore, model: TaskStore, clock: VirtualClock, random: Random
    ) -> None:
        self._stores = store, model
        self._clock = clock
        self._random = random
        self._ids: list[TaskId] = []
        self._claims: list[Claim] = []
        self._results: dict[Claim, Result] = {}
        self._taken: list[Ready] = []
        self.first_starts: list[TaskId] = []
        self.replayed: set[TaskId] = set()

    async def do_something(self) -> None:
        """Do one thing, chosen at random."""
        weights = {
            self._accept: 4,
            self._claim: 8,
            self._finish: 6,
            self._renew: 1,
            self._cancel: 1,
            self._replay: 2,
            self._take_ready: 2,
            self._mark_published: 2,
            self._recover: 1,
            self._wait: 3,
        }
        [operation] = self._random.choices(list(weights), list(weights.values()))
        await operation()

    async def run_everything(self) -> None:
        """Let time pass and good workers work until nothing is left."""
        while unfinished := [task.id for task in await self.tasks() if task.state in UNFINISHED]:
            self._clock.advance(10 * LEASE_S)
            await self._recover()
            claims = await self._claim_these(unfinished)
            assert claims, "tasks are unfinished, and none can be claimed"
            await self._finish_these([success(claim) for claim in claims])

    async def tasks(self) -> Sequence[Task]:
        """Return all tasks, newest first."""
        return await self._both(_list_all)

    async def history(self, task_id: TaskId) -> Sequence[Event]:
        """Return what happened to a task."""
        return await self._both(lambda store: store.history(task_id))

    async def _accept(self) -> None:
        new = [
            new_task(
                self._random.choice(DEVICES),
                key=self._random.choice([None, None, None, f"key {self._random.randrange(20)}"]),
                fingerprint=self._random.choice(["one", "two"]),
            )
            for _ in range(self._random.randint(1, 3))
        ]
        answers = await self._both(partial(_accept, new=new))
        self._ids += [a.task_id for a in answers if isinstance(a, Accepted) and not a.repeated]

    async def _claim(self) -> None:
        await self._claim_these(self._sample(self._ids[-40:], 12))

    async def _claim_these(self, ids: list[TaskId]) -> list[Claim]:
        answers = await self._both(lambda store: store.claim(ids, "worker", LEASE_S))
        claims = [answer for answer in answers if isinstance(answer, Claim)]
        self._claims += claims
        self.first_starts += [claim.task_id for claim in claims if claim.attempt == 1]
        return claims

    async def _finish(self) -> None:
        claims = {claim.task_id: claim for claim in self._sample(self._claims[-8:], 4)}
        await self._finish_these([self._result_of(claim) for claim in claims.values()])

    async def _finish_these(self, results: list[Result]) -> None:
        await self._both(lambda store: store.finish(results))

    def _result_of(self, claim: Claim) -> Result:
        """Choose how an attempt ends; when it is written again it ends the same way."""
        chosen = self._results.get(claim) or self._random.choice(ENDS)(claim)
        return self._results.setdefault(claim, chosen)

    async def _renew(self) -> None:
        claims = self._sample(self._claims[-8:], 3)
        await self._both(lambda store: store.renew(claims, LEASE_S))

    async def _cancel(self) -> None:
        for task_id in self._sample(self._ids[-20:], 1):
            await self._both(partial(_cancel, task_id=task_id))

    async def _replay(self) -> None:
        for task_id in self._sample(self._ids, 5):
            if await self._both(partial(_replay, task_id=task_id)) is not None:
                self.replayed.add(task_id)

    async def _take_ready(self) -> None:
        self._taken += await self._both(_take_ready)

    async def _mark_published(self) -> None:
        self._random.shuffle(self._taken)
        half = len(self._taken) // 2
        confirmed, self._taken = self._taken[half:], self._taken[:half]
        await self._both(lambda store: store.mark_published(confirmed))

    async def _recover(self) -> None:
        await self._both(_reap)
        await self._both(lambda store: store.offer_again(30.0, EVERYTHING))

    async def _wait(self) -> None:
        self._clock.advance(self._random.choice([0.5, 4.0, 11.0, 40.0]))

    def _sample(self, things: list[T], most: int) -> list[T]:
        return self._random.sample(things, min(most, len(things)))

    async def _both(self, operation: Callable[[TaskStore], Awaitable[T]]) -> T:
        answer, expected = [await operation(store) for store in self._stores]
        assert answer == expected
        return answer


async def _list_all(store: TaskStore) -> list[Task]:
    return list((await store.search(TaskQuery(limit=EVERYTHING))).tasks)


async def _accept(store: TaskStore, new: list[NewTask]) -> list[Accepted | str]:
    answers = await store.accept(new)
    return [answer if isinstance(answer, Accepted) else "conflict" for answer in answers]


async def _cancel(store: TaskStore, task_id: TaskId) -> Cancellation | None:
    try:
        return await store.cancel(task_id)
    except TransitionError:
        return None


async def _replay(store: TaskStore, task_id: TaskId) -> Task | None:
    try:
        return await store.replay(task_id)
    except TransitionError:
        return None


async def _take_ready(store: TaskStore) -> list[Ready]:
    return sorted(await store.take_ready(EVERYTHING), key=lambda ready: ready.task_id)


async def _reap(store: TaskStore) -> list[Reaped]:
    reaped = await store.reap(at_most(MAX_ATTEMPTS), EVERYTHING)
    return sorted(reaped, key=lambda task: task.task_id)
