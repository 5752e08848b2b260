"""A device is switched on once for each key, whatever becomes of the callers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from activation_handler.ledger import Call, Ledger
from activation_handler.playbook import SUCCESS, Playbook
from activation_handler.provisioning import Provisioning
from activation_handler.script import Answer, Hang, Reset, Script, Step

DEVICE = "ABC123"
USUAL_S = 60.0


class Work:
    """Sleep that lasts until the test lets it go on."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.begun = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def sleep(self, seconds: float) -> None:
        """Note the seconds and wait for the test instead."""
        self.slept_s.append(seconds)
        self.begun.set()
        await self.may_go_on.wait()


class System:
    """The provisioning system under test."""

    def __init__(self, *, limit: int = 100, room: int = 0) -> None:
        self.work = Work()
        self.playbook = Playbook(usual_s=USUAL_S)
        self.ledger = Ledger(now=asyncio.get_running_loop().time)
        self.provisioning = Provisioning(
            self.playbook, sleep=self.work.sleep, limit=limit, room=room
        )

    def script(self, *steps: Step) -> None:
        """Tell the device what to do."""
        self.playbook.play(Script(equipment=DEVICE, steps=list(steps)))

    async def call(self, key: str | None = "key-1") -> Step:
        """Make one call and return what its caller would get."""
        return await self.provisioning.carry_out(self.ledger.begin(DEVICE, key, 1, []))

    @property
    def calls(self) -> list[Call]:
        """All calls so far."""
        return self.ledger.calls()


@pytest.fixture
async def system() -> System:
    return System()


@pytest.fixture
async def start(system: System) -> AsyncIterator[Callable[[], Awaitable[asyncio.Task[Step]]]]:
    """Begin a call that stays at work, or that waits for one that is."""
    system.work.may_go_on.clear()
    tasks: list[asyncio.Task[Step]] = []

    async def begin() -> asyncio.Task[Step]:
        tasks.append(asyncio.create_task(system.call()))
        await system.work.begun.wait()
        await asyncio.sleep(0)
        return tasks[-1]

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_activation_takes_its_time_and_switches_the_device_on(system: System) -> None:
    """The usual call works as long as configured and succeeds."""
    answer = await system.call()

    assert answer == SUCCESS
    assert system.work.slept_s == [USUAL_S]
    assert [call.activated for call in system.calls] == [True]


async def test_a_repeated_key_is_answered_at_once_and_activates_nothing(system: System) -> None:
    """The second call neither works nor takes a step of the script."""
    system.script(Answer(message="done by hand"), Answer(status=500))
    first = await system.call()

    second = await system.call()

    assert first == second
    assert system.work.slept_s == [USUAL_S]
    assert [(c.activated, c.repeated) for c in system.calls] == [(True, False), (False, True)]


async def test_calls_without_a_key_are_never_merged(system: System) -> None:
    """Each of them works and activates."""
    await system.call(key=None)
    await system.call(key=None)

    assert system.work.slept_s == [USUAL_S, USUAL_S]
    assert [(c.activated, c.repeated) for c in system.calls] == [(True, False), (True, False)]


async def test_a_key_in_progress_is_joined(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """Both callers get the answer of the one piece of work."""
    first = await start()
    second = await start()
    assert system.provisioning.is_working_on("key-1")

    system.work.may_go_on.set()

    assert [await first, await second] == [SUCCESS, SUCCESS]
    assert system.work.slept_s == [USUAL_S]
    assert [(c.activated, c.repeated) for c in system.calls] == [(True, False), (False, True)]
    assert not system.provisioning.is_working_on("key-1")


async def test_who_joined_and_left_does_not_end_the_work(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """Cancelling the second call leaves the first at work."""
    first = await start()
    second = await start()

    second.cancel()
    await asyncio.wait([second])
    system.work.may_go_on.set()

    assert await first == SUCCESS


async def test_when_the_work_is_stopped_those_who_joined_stop_too(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """Nobody waits for a result that will not come, and the key is free again."""
    first = await start()
    second = await start()

    first.cancel()
    await asyncio.wait([first, second])

    assert second.cancelled()
    assert not system.provisioning.is_working_on("key-1")
    assert [call.activated for call in system.calls] == [False, False]


async def test_who_joined_a_fault_that_acted_gets_the_stored_answer(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """The reset hits the first caller's connection; the device is on."""
    system.script(Reset(acts=True, latency_s=1))
    first = await start()
    second = await start()

    system.work.may_go_on.set()

    assert [await first, await second] == [Reset(acts=True, latency_s=1), SUCCESS]


async def test_who_joined_a_failure_fails_with_it(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """Nothing was activated, so both callers get the failure."""
    system.script(Answer(status=500, latency_s=1))
    first = await start()
    second = await start()

    system.work.may_go_on.set()

    failure = Answer(status=500, latency_s=1)
    assert [await first, await second] == [failure, failure]


async def test_a_key_that_activated_nothing_can_be_tried_again(system: System) -> None:
    """After a failure the same key works anew."""
    system.script(Answer(status=503))
    await system.call()

    second = await system.call()

    assert second == SUCCESS
    assert [(c.activated, c.repeated) for c in system.calls] == [(False, False), (True, False)]


async def test_a_reset_after_acting_is_found_out_by_the_next_call(system: System) -> None:
    """The lost answer is stored under the key, and the device stays switched on once."""
    system.script(Reset(acts=True))
    await system.call()

    second = await system.call()

    assert second == SUCCESS
    assert system.provisioning.answer_for("key-1") == SUCCESS
    assert [(c.activated, c.repeated) for c in system.calls] == [(True, False), (False, True)]


async def test_a_hang_with_an_end_activates_first_and_answers_late(system: System) -> None:
    """The work, then the silence, then success."""
    system.script(Hang(latency_s=1, for_s=300))

    answer = await system.call()

    assert answer == SUCCESS
    assert system.work.slept_s == [1, 300]


async def test_a_key_is_unknown_until_it_has_activated(
    system: System, start: Callable[[], Awaitable[asyncio.Task[Step]]]
) -> None:
    """Being worked on is not an answer."""
    call = await start()
    assert system.provisioning.answer_for("key-1") is None

    system.work.may_go_on.set()
    await call

    assert system.provisioning.answer_for("key-1") == SUCCESS


async def test_the_oldest_keys_are_forgotten_first() -> None:
    """The memory is bounded."""
    system = System(limit=2)

    for key in ("key-1", "key-2", "key-3"):
        await system.call(key)

    assert system.provisioning.answer_for("key-1") is None
    assert system.provisioning.answer_for("key-2") is not None
    assert system.provisioning.answer_for("key-3") is not None


async def test_more_calls_than_there_is_room_for_are_refused_with_429() -> None:
    """A key that is worked on, or was, needs no room; when a call has ended there is some again."""
    system = System(room=1)
    system.work.may_go_on.clear()
    first = asyncio.create_task(system.call("key-1"))
    await system.work.begun.wait()
    refused = await system.call("key-2")
    again = asyncio.create_task(system.call("key-1"))
    system.work.may_go_on.set()

    assert (await first, await again) == (SUCCESS, SUCCESS)
    assert refused == Answer(status=429)
    assert await system.call("key-2") == SUCCESS
