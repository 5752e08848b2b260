"""Group commit: alone at once, together under load, and nobody pays for a neighbour's fault."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from activation.errors import StoreUnavailableError
from activation.group_commit import GroupCommit
from tests.support.world import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME

COMMIT_S = 1.0


class Journal:
    """Writes numbers; a negative one is a fault."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.away = False

    async def commit(self, numbers: Sequence[int]) -> Sequence[str]:
        self.groups.append(list(numbers))
        await asyncio.sleep(COMMIT_S)
        if self.away:
            raise StoreUnavailableError("connection refused")
        if min(numbers) < 0:
            raise ValueError(f"{min(numbers)} is negative")
        return [f"wrote {number}" for number in numbers]


@asynccontextmanager
async def running(journal: Journal, *, largest: int = 100) -> AsyncIterator[GroupCommit[int, str]]:
    commits = GroupCommit(journal.commit, largest=largest)
    working = asyncio.create_task(commits.run())
    yield commits
    working.cancel()
    await asyncio.wait([working])


async def test_lone_item_is_committed_at_once() -> None:
    """At low load nobody waits for company."""
    journal = Journal()
    async with running(journal) as commits:
        answer = await commits.submit(1)

        assert answer == "wrote 1"
        assert asyncio.get_running_loop().time() == COMMIT_S


async def test_items_that_arrive_together_share_a_commit() -> None:
    """Everybody who is ready in the same turn of the loop goes into one group, in order."""
    journal = Journal()
    async with running(journal) as commits:
        answers = await asyncio.gather(*(commits.submit(number) for number in range(50)))

    assert [list(range(50))] == journal.groups
    assert [f"wrote {number}" for number in range(50)] == answers


async def test_items_that_arrive_during_a_commit_share_the_next() -> None:
    """The size of a group follows from how long the commit before it took."""
    journal = Journal()
    async with running(journal) as commits, asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(commits.submit(number))
            await asyncio.sleep(COMMIT_S / 10)

    assert [[0], list(range(1, 10))] == journal.groups


async def test_group_is_bounded() -> None:
    """More than the largest group is committed in several, one after the other."""
    journal = Journal()
    async with running(journal, largest=4) as commits:
        await asyncio.gather(*(commits.submit(number) for number in range(10)))

    assert journal.groups == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_one_fault_fails_one_item() -> None:
    """A group that fails is written one by one, so that the fault meets only who caused it."""
    journal = Journal()
    async with running(journal) as commits:
        answers = await asyncio.gather(
            *(commits.submit(number) for number in (1, -2, 3)), return_exceptions=True
        )

    assert [answers[0], answers[2]] == ["wrote 1", "wrote 3"]
    assert isinstance(answers[1], ValueError)
    assert journal.groups == [[1, -2, 3], [1], [-2], [3]]


async def test_store_that_is_away_fails_the_group_without_a_second_try() -> None:
    """Nobody is to blame, and writing one by one would only take longer."""
    journal = Journal()
    journal.away = True
    async with running(journal) as commits:
        answers = await asyncio.gather(
            *(commits.submit(number) for number in range(3)), return_exceptions=True
        )

    assert [StoreUnavailableError] * 3 == [type(answer) for answer in answers]
    assert journal.groups == [[0, 1, 2]]


async def test_group_after_a_failed_one_is_committed() -> None:
    """A failure ends nothing but its group."""
    journal = Journal()
    async with running(journal) as commits:
        with pytest.raises(ValueError, match="negative"):
            await commits.submit(-1)

        assert await commits.submit(1) == "wrote 1"


async def test_cancelled_item_is_withdrawn() -> None:
    """Who hangs up while waiting for a commit is not committed."""
    journal = Journal()
    async with running(journal) as commits, asyncio.TaskGroup() as group:
        group.create_task(commits.submit(1))
        await asyncio.sleep(COMMIT_S / 2)
        waiting = [group.create_task(commits.submit(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        waiting[0].cancel()

    assert journal.groups == [[1], [3]]


async def test_item_cancelled_during_its_commit_does_not_disturb_the_others() -> None:
    """It is too late to withdraw: the item is written, and only its caller is gone."""
    journal = Journal()
    async with running(journal) as commits, asyncio.TaskGroup() as group:
        leaving, staying = (group.create_task(commits.submit(number)) for number in (1, 2))
        await asyncio.sleep(COMMIT_S / 2)
        leaving.cancel()

    assert leaving.cancelled()
    assert staying.result() == "wrote 2"


async def test_everybody_may_have_left() -> None:
    """A group of which nobody is left is not committed at all."""
    journal = Journal()
    async with running(journal) as commits, asyncio.TaskGroup() as group:
        leaving = group.create_task(commits.submit(1))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(COMMIT_S)

        assert await commits.submit(2) == "wrote 2"

    assert journal.groups == [[2]]


async def test_stop_during_a_commit_cancels_who_waits_for_it() -> None:
    """Nobody waits for an answer that cannot come any more."""
    journal = Journal()
    async with running(journal) as commits:
        waiting = asyncio.create_task(commits.submit(1))
        await asyncio.sleep(COMMIT_S / 2)

    await asyncio.wait([waiting], timeout=1.0)
    assert waiting.cancelled()
