"""The provisioning system: idempotent by key, with a ledger, and not always well."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from activation.domain.outcome import Reason
from activation_worker.reply import Reply
from activation_worker.transport import NoReplyError
from tests.support.simulation.loop import Process, current_process
from tests.support.simulation.wire import Wire

SHARE_OF_TIMEOUT: Final = 0.7  # the longest work
REFUSALS: Final = (400, 404, 500)


@dataclass(slots=True, eq=False)
class Call:
    """A line of the ledger; times are the loop's.

    Attributes:
        left_s: When the caller hung up, or died.
        told: The status that was sent; None if nothing was, or nothing readable.
    """

    process: Process
    equipment: str
    key: str
    attempt: int
    timeout_s: int
    answer: "asyncio.Future[Reply]"
    started_s: float | None = None
    ended_s: float | None = None
    left_s: float | None = None
    told: int | None = None


@dataclass(slots=True)
class Mood:
    """How calls are met.

    Attributes:
        trouble: The share of calls that meet one of the troubles.
        refusals: The share of calls that are refused for good.
        away: Every call gets 503.
    """

    trouble: float = 0.0
    refusals: float = 0.0
    away: bool = False


@dataclass(slots=True, eq=False)
class SimulatedHandler:
    """The server, and the way to it.

    Attributes:
        calls: Every call that arrived, in that order.
        activations: How often each key switched its device on.
    """

    wire: Wire
    random: Random
    mood: Mood = field(default_factory=Mood)
    calls: list[Call] = field(default_factory=list)
    activations: dict[str, int] = field(default_factory=dict)
    _working: dict[str, list[Call]] = field(default_factory=dict)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        assert method == "POST"
        await self.wire.step("call")
        process, loop = current_process(), asyncio.get_running_loop()
        call = Call(
            process=process,
            equipment=url.rpartition("/")[2],
            key=headers["idempotency-key"],
            attempt=int(headers["x-attempt"]),
            timeout_s=json.loads(body or b"")["timeoutInSeconds"],
            answer=loop.create_future(),
        )
        self.wire.after_a_while(partial(self._begin, call))

        def hang_up() -> None:
            call.left_s = call.left_s or loop.time()

        forget = process.connected(hang_up)
        try:
            return await call.answer
        finally:
            forget()
            hang_up()

    async def close(self) -> None:
        pass

    def _begin(self, call: Call) -> None:
        call.started_s = self._now()
        self.calls.append(call)
        self.wire.note(call.process, "call", call.equipment, call.key[-4:], call.attempt)
        self.wire.passed(call.process, "call")
        if self.mood.away:
            self._tell(call, 503)
        elif call.key in self.activations:
            self._tell(call, 200)
        elif call.key in self._working:
            self._working[call.key].append(call)
        else:
            self._work(call)

    def _work(self, call: Call) -> None:
        trouble = self.random.random()
        if trouble < self.mood.refusals:
            self._tell(call, self.random.choice(REFUSALS))
        elif trouble < self.mood.refusals + self.mood.trouble:
            self.random.choice(TROUBLES)(self, call)
        else:
            self._activate_later(call, lambda: self._tell(call, 200))

    def _activate_later(self, call: Call, then: Callable[[], None]) -> None:
        self._working[call.key] = []

        def activate() -> None:
            self.activations[call.key] = self.activations.get(call.key, 0) + 1
            self.wire.note(call.process, "activated", call.equipment, call.key[-4:])
            then()
            for joined in self._working.pop(call.key):
                self._tell(joined, 200)

        self._later(self.random.random() * SHARE_OF_TIMEOUT * call.timeout_s, activate)

    def _tell(self, call: Call, status: int, *, retry_after_s: int | None = None) -> None:
        call.told = status
        said = {"code": status, "message": words_for(call.attempt)}
        wish = None if retry_after_s is None else str(retry_after_s)
        self._end(call, Reply(status, json.dumps(said).encode(), wish))

    def _garbage(self, call: Call) -> None:
        self._end(call, Reply(200, b"<html>"))

    def _reset(self, call: Call) -> None:
        self._end(call, NoReplyError(Reason.UNREACHABLE, "connection failed: reset"))

    def _end(self, call: Call, said: Reply | Exception) -> None:
        call.ended_s = self._now()

        def arrive() -> None:
            if call.answer.done():
                return
            if isinstance(said, Exception):
                call.answer.set_exception(said)
            else:
                call.answer.set_result(said)

        self.wire.after_a_while(arrive)

    def _later(self, after_s: float, work: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(after_s, work, context=Context())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def words_for(attempt: int) -> str:
    """Return what the handler says to an attempt: a result tells whose it is."""
    return f"said to attempt {attempt}"


TROUBLES: Final[list[Callable[[SimulatedHandler, Call], None]]] = [
    lambda handler, call: handler._tell(call, 503),
    lambda handler, call: handler._tell(call, 429, retry_after_s=handler.random.randint(1, 5)),
    lambda handler, call: handler._reset(call),
    lambda handler, call: handler._garbage(call),
    lambda handler, call: handler._activate_later(call, lambda: handler._reset(call)),
    lambda handler, call: handler._activate_later(call, lambda: handler._garbage(call)),
    lambda handler, call: handler._activate_later(call, lambda: None),  # never answers
    lambda handler, call: None,  # hangs, and does nothing
]
