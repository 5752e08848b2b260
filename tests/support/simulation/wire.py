"""The way between processes and a server: both directions take time, and either can fail."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, Final, Literal, TypeVar

from activation.errors import ActivationError
from tests.support.simulation.journal import Journal
from tests.support.simulation.loop import Process, current_process

T = TypeVar("T")
Stage = Literal["before", "after"]

_QUICK_S, _SLOW_S = 0.005, 0.5  # most ways are quick, some overtake nobody
_SLOW_SHARE: Final = 0.05
_DEADLINE_S: Final = 5.0
_AT_THE_SERVER: Final = Context()  # no process: what is under way arrives whoever dies


class Wire:
    """Carries questions to a server, and answers back.

    Args:
        failure: Raised for what gets no answer.
        random: Draws how long each way takes, and what is lost; without one nothing takes time.
        journal: Told what the server did.
        passing: Told before a process asks something, and after the server has done it.

    Attributes:
        down: Nothing arrives.
        delay_s: Added to each way.
        lost_answers: The share of answers that are lost after the server has done its work.
    """

    def __init__(
        self,
        failure: type[ActivationError],
        *,
        random: Random | None = None,
        journal: Journal | None = None,
        passing: Callable[[Process, str, Stage], None] = lambda *_: None,
    ) -> None:
        self._failure = failure
        self._random = random
        self._journal = journal
        self._passing = passing
        self.down = False
        self.delay_s = 0.0
        self.lost_answers = 0.0

    async def ask(self, name: str, work: Callable[[], T], *about: object) -> T:
        """Have the server do something, and return what it says.

        Args:
            name: Of the operation.
            work: Done at the server, at one moment.
            about: Written down beside the name.
        """
        await self.step(name)
        loop, process = asyncio.get_running_loop(), current_process()
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            if self.down:
                later(self._failure("connection refused"))
                return
            try:
                said: Any = work()
            except Exception as error:  # noqa: BLE001  # whoever asked is told
                said = error
            self.note(process, name, *about, said)
            self.passed(process, name)
            if self._random is not None and self._random.random() < self.lost_answers:
                said = self._failure("connection lost")
            later(said)

        def later(said: Any) -> None:
            self.after_a_while(lambda: _settle(answer, said))

        self.after_a_while(arrive)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await answer
        except TimeoutError:
            raise self._failure("no answer in time") from None

    def note(self, process: Process, *what: object) -> None:
        """Write down what the server did for a process."""
        if self._journal is not None:
            self._journal.note(process, *what)

    def passed(self, process: Process, name: str) -> None:
        """Let what is to happen to a process after the server's work happen."""
        self._passing(process, name, "after")

    async def step(self, name: str) -> None:
        """Let what is to happen to a process before it asks something happen."""
        process = current_process()
        self._passing(process, name, "before")
        if process.frozen:
            await asyncio.sleep(0)  # it goes on from here when it is thawed

    def after_a_while(self, work: Callable[[], None]) -> None:
        """Do something at the other end."""
        asyncio.get_running_loop().call_later(self.way_s(), work, context=_AT_THE_SERVER)

    def must_be_up(self) -> None:
        """Raise the failure while nothing arrives."""
        if self.down:
            raise self._failure("connection lost")

    def way_s(self) -> float:
        """Draw how long one way takes."""
        if self._random is None:
            return 0.0
        longest = _SLOW_S if self._random.random() < _SLOW_SHARE else _QUICK_S
        return self.delay_s + self._random.random() * longest


def _settle(answer: "asyncio.Future[T]", said: T | Exception) -> None:
    if answer.done():
        return
    if isinstance(said, Exception):
        answer.set_exception(said)
    else:
        answer.set_result(said)
