"""A handler behind httpx that answers by scripts, and writes down every call and question."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import httpx


class Step(Protocol):
    """How the handler meets one call."""

    async def answer(self) -> httpx.Response:
        """Answer, raise what a broken connection raises, or never return."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer after some time."""

    status: int
    after_s: float = 0.0
    message: str = "as scripted"
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self) -> httpx.Response:
        await asyncio.sleep(self.after_s)
        body = {"code": self.status, "message": self.message}
        return httpx.Response(self.status, json=body, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that may be no answer at all."""

    content: bytes
    status: int = 200

    async def answer(self) -> httpx.Response:
        return httpx.Response(self.status, content=self.content)


@dataclass(frozen=True, slots=True)
class Breaks:
    """The connection fails."""

    error: Exception

    async def answer(self) -> httpx.Response:
        raise self.error


def success(after_s: float = 0.0) -> Answer:
    return Answer(200, after_s)


def too_many_requests(retry_after_s: int | None = None) -> Answer:
    wish = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Answer(429, headers=wish)


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


class ScriptedHandler(httpx.AsyncBaseTransport):
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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time
        if request.method == "GET":
            return await self._answer(request, now())
        equipment = request.url.path.rpartition("/")[2]
        json.loads(await request.aread())  # what the worker sends must be readable
        call = Call(
            equipment, request.headers["idempotency-key"], int(request.headers["x-attempt"]), now()
        )
        self.calls.append(call)
        async with self._begun:
            self._begun.notify_all()
        script = self._scripts[equipment]
        step = script.popleft() if script else success()
        try:
            response = await step.answer()
            call.answered = True
        finally:
            call.ended_s = now()
        return response

    async def _answer(self, request: httpx.Request, now_s: float) -> httpx.Response:
        *_, equipment, resource, key = request.url.path.split("/")
        assert resource == "activations"
        self.questions.append(Question(equipment, key, now_s))
        script = self._answers[equipment]
        return await (script.popleft() if script else Answer(404)).answer()
