"""Trying again while the gateway is busy or away, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from activation_cli.exits import CommandError, Exit, UnavailableError
from activation_cli.patience import Patience

pytestmark = pytest.mark.looptime


def failing(times: int, error: CommandError) -> Callable[[], Awaitable[str]]:
    """Make a call that fails so many times before it succeeds."""
    left = times

    async def call() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return "answer"

    return call


async def test_retry_after_is_obeyed_however_long_it_goes_on() -> None:
    """A busy gateway is asked when it says, and is no reason to give up."""
    told: list[str] = []
    patience = Patience(told.append, silence_s=30)
    loop = asyncio.get_running_loop()
    begun = loop.time()

    answer = await patience(failing(100, UnavailableError("too many", retry_after_s=7)))

    assert answer == "answer"
    assert pytest.approx(loop.time() - begun) == 700


async def test_retry_after_zero_is_no_busy_loop() -> None:
    """A hundred refusals take at least ten seconds."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    await Patience(lambda _: None)(failing(100, UnavailableError("too many", retry_after_s=0)))

    assert loop.time() - begun >= 10


async def test_silence_is_borne_for_a_while_and_not_for_ever() -> None:
    """A gateway that gives no sign of life ends the command, not before the time."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    with pytest.raises(UnavailableError, match="refused"):
        await Patience(lambda _: None, silence_s=30)(failing(1_000, UnavailableError("refused")))

    assert 30 <= loop.time() - begun < 36


async def test_other_errors_are_not_tried_again() -> None:
    """What the gateway has decided stays decided."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    with pytest.raises(CommandError, match="no such task"):
        await Patience(lambda _: None)(failing(1, CommandError("no such task", Exit.NOT_FOUND)))

    assert begun == loop.time()


async def test_trouble_is_told_once_and_its_end_too() -> None:
    """Many calls in the same outage do not say the same many times."""
    told: list[str] = []
    patience = Patience(told.append)

    await asyncio.gather(*(patience(failing(3, UnavailableError("refused"))) for _ in range(5)))

    assert told[0] == "refused; trying again"
    assert told[1] == "the gateway answers again"
    assert told.count("the gateway answers again") == told.count("refused; trying again")
    assert len(told) == 2
