"""A cancellation is not lost, whatever a library does with it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from activation.cancellation import heeded_cancellation


async def deaf() -> None:
    """End at once when cancelled, as if nothing had been."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def upset() -> None:
    """Answer a cancellation with an error, as aiormq does."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise RuntimeError("closed") from None


@pytest.mark.parametrize("work", [deaf, upset])
async def test_a_lost_cancellation_is_raised_again(work: Callable[[], Awaitable[None]]) -> None:
    """The task ends as cancelled, and does nothing more."""
    went_on = False

    async def loop() -> None:
        nonlocal went_on
        with heeded_cancellation():
            await work()
        went_on = True

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert not went_on


async def test_what_tidies_up_after_a_cancellation_is_left_alone() -> None:
    """Only a cancellation inside the block counts, not the one that led to it."""
    tidied = False

    async def loop() -> None:
        nonlocal tidied
        try:
            await asyncio.Event().wait()
        finally:
            with heeded_cancellation():
                await asyncio.sleep(0)
            tidied = True

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert tidied


async def test_a_timeout_inside_the_block_is_no_cancellation() -> None:
    """A deadline cancels the task for a moment, and takes it back."""
    with heeded_cancellation(), suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_an_error_without_a_cancellation_passes() -> None:
    """What went wrong is said."""
    with pytest.raises(RuntimeError, match="closed"), heeded_cancellation():
        raise RuntimeError("closed")
