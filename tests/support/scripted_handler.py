"""A handler that answers by scripts, and writes down every call and question."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from activation.domain.outcome import Reason
from activation_worker.reply import Reply
from activation_worker.transport import NoReplyError


class Step(Protocol):
    """How the handler meets one call."""

    async def answer(self) -> Reply:
        """Answer, raise what a broken connection raises, or never return."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer after some time."""

    status: int
    after_s: float = 0.0
    message: str = "as scripted"
    retry_after: str | None = None

    async def answer(self) -> Reply:
        await asyncio.sleep(self.after_s)
        body = {"code": self.status, "message": self.message}
        return Reply(self.status, json.dumps(body).encode(), self.retry_after)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that may be no answer at all; None: too many."""

    content: bytes | None
    status: int = 200

    async def answer(self) -> Reply:
        return Reply(self.status, self.content)


@dataclass(frozen=True, slots=True)
class Breaks:
    """The connection fails."""

    reason: Reason = Reason.UNREACHABLE

    async def answer(self) -> Reply:
        raise NoReplyError(self.reason, "connection failed: as scripted")


def success(after_s: float = 0.0) -> Answer:
    return Answer(200, after_s)


def too_many_requests(retry_after_s: int | None = None) -> Answer:
    return Answer(429, retry_after=None if retry_after_s is None else str(retry_after_s))


def finished(code: int = 200, message: str = "as scripted") -> Raw:
    """What a question about an ended call is answered."""
    return Raw(json.dumps({"code": code, "message": message}).encode())


@dataclass(frozen=True, slots=True)
class Question:
    equipment: str
    key: str
    asked_s: float


@dataclass(slots=True)
class Call:
    equipment: str
    key: str
    attempt: int
    started_s: float
    ended_s: float | None = None
    answered: bool = False


class ScriptedHandler:
    """Answers by script; without one every call succeeds at once, and no key is known.

    Attributes:
        calls: Every call, in the order they began.
        questions: Every question about a call.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.questions: list[Question] = []
        self._answers: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._scripts: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._begun = asyncio.Condition()

    def script(self, equipment: str, steps: Iterable[Step]) -> None:
        """Meet the next calls for a device in this way, and all later ones with success."""
        self._scripts[equipment].extend(steps)

    def tell(self, equipment: str, steps: Iterable[Step]) -> None:
        """Meet the next questions about a device in this way, and all later ones with 404."""
        self._answers[equipment].extend(steps)

    def starts_s(self, equipment: str) -> list[float]:
        """When the calls for a device began, by the loop's clock."""
        return [call.started_s for call in self.calls_for(equipment)]

    def calls_for(self, equipment: str) -> list[Call]:
        return [call for call in self.calls if call.equipment == equipment]

    @property
    def under_way(self) -> int:
        """How many calls have begun and not ended."""
        return sum(call.ended_s is None for call in self.calls)

    async def begun(self, count: int = 1) -> None:
        """Wait until so many calls have begun in all."""
        async with asyncio.timeout(3600), self._begun:
            await self._begun.wait_for(lambda: len(self.calls) >= count)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        now = asyncio.get_running_loop().time
        if method == "GET":
            return await self._answer(url, now())
        equipment = url.rpartition("/")[2]
        json.loads(body or b"")  # what the worker sends must be readable
        call = Call(equipment, headers["idempotency-key"], int(headers["x-attempt"]), now())
        self.calls.append(call)
        async with self._begun:
            self._begun.notify_all()
        script = self._scripts[equipment]
        step = script.popleft() if script else success()
        try:
            reply = await step.answer()
            call.answered = True
        finally:
            call.ended_s = now()
        return reply

    async def close(self) -> None:
        pass

    async def _answer(self, url: str, now_s: float) -> Reply:
        *_, equipment, resource, key = url.split("/")
        assert resource == "activations"
        self.questions.append(Question(equipment, key, now_s))
        script = self._answers[equipment]
        return await (script.popleft() if script else Answer(404)).answer()
