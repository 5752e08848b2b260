"""An event loop on virtual time that runs several processes, and draws whose turn it is.

Within a process callbacks keep their order, as asyncio promises; between processes every order is
possible. A process that is frozen keeps its callbacks until it goes on; one that is killed is
frozen for ever, so not even its `finally` blocks run.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any, Final, TypeVar

T = TypeVar("T")

_MOST_CANCELLATIONS: Final = 20  # each takes what waits one level further
_MOST_STEPS: Final = 2_000_000  # a schedule takes some ten thousand


class Process:
    """What lives and dies together.

    Attributes:
        name: Of this one life: a process that is started again has another.
        frozen: None of its code runs for now.
        dead: It was killed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = False
        self.dead = False
        self.due: deque[Step] = deque()
        self._connections: dict[int, Callable[[], None]] = {}
        self._numbers = count()
        self._context = Context()
        self._context.run(_PROCESS.set, self)

    @property
    def context(self) -> Context:
        """What runs in this context belongs to the process."""
        return self._context.copy()

    def connected(self, close: Callable[[], None]) -> Callable[[], None]:
        """Have a connection closed when the process dies; returns what makes that unneeded."""
        number = next(self._numbers)
        self._connections[number] = close
        return lambda: self._connections.pop(number, None) and None

    def kill(self) -> None:
        """Stop for ever; the kernel closes its connections."""
        self.frozen = self.dead = True
        while self._connections:
            self._connections.popitem()[1]()


_PROCESS: ContextVar[Process] = ContextVar("process")
_OUTSIDE: Final = Process("outside")


def current_process() -> Process:
    """Return the process whose code is running; the world outside of all has one as well."""
    return _PROCESS.get(_OUTSIDE)


class Step:
    """A callback that is due, or will be."""

    __slots__ = ("_args", "_callback", "_context", "cancelled_already", "process")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context):
        self._callback = callback
        self._args = args
        self._context = context
        self.cancelled_already = False
        self.process = context.get(_PROCESS, _OUTSIDE)

    def run(self) -> None:
        self._context.run(self._callback, *self._args)

    def cancel(self) -> None:
        self.cancelled_already = True

    def cancelled(self) -> bool:
        return self.cancelled_already


class _Task(asyncio.Task[Any]):
    """A task whose hash is not its address: sets of tasks have the same order in each run."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.AbstractEventLoop):
    """The loop.

    Args:
        random: Draws which process takes the next step.

    Attributes:
        steps: How many were taken.
        errors: What nobody else has handled.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0
        self._timers: list[tuple[float, int, Step]] = []
        self._numbers = count()
        self._processes: list[Process] = [_OUTSIDE]
        self._tasks: list[asyncio.Task[Any]] = []
        self.steps = 0
        self.errors: list[dict[str, Any]] = []
        _OUTSIDE.due.clear()

    def new_process(self, name: str) -> Process:
        process = Process(name)
        self._processes.append(process)
        return process

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run the world until a coroutine outside of it is done; then end everything."""
        asyncio._set_running_loop(self)
        try:
            done = self.create_task(main, context=Context())
            try:
                self._run_until(done)
                result: T = done.result()
                return result
            finally:
                self._bury()
        finally:
            asyncio._set_running_loop(None)

    def _bury(self) -> None:
        """Cancel what is left, that of the dead as well, so that nothing is left to the collector.

        More than once: a task group forgets a cancellation that comes together with an error.
        """
        for process in self._processes:
            process.frozen = False
        for _ in range(_MOST_CANCELLATIONS):
            left = [task for task in self._tasks if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            for process in self._processes:
                self._run_all(process)
        raise RuntimeError(f"these cannot be ended: {left}")

    def _run_all(self, process: Process) -> None:
        while process.due:
            step = process.due.popleft()
            if not step.cancelled_already:
                step.run()

    def _run_until(self, done: "asyncio.Task[Any]") -> None:
        while not done.done():
            process = self._whose_turn()
            step = process.due.popleft()
            if not step.cancelled_already:
                self.steps += 1
                step.run()
            if self.steps > _MOST_STEPS:
                raise RuntimeError("the simulation does not come to an end")

    def _whose_turn(self) -> Process:
        while True:
            ready = [process for process in self._processes if process.due and not process.frozen]
            if len(ready) == 1:
                return ready[0]
            if ready:
                return ready[int(self._random.random() * len(ready))]
            self._advance()

    def _advance(self) -> None:
        """Let time pass until something is due."""
        timers = self._timers
        while timers and timers[0][2].cancelled_already:
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            step = heapq.heappop(timers)[2]
            step.process.due.append(step)

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]  # without its type variables
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        step = Step(callback, args, copy_context() if context is None else context)
        step.process.due.append(step)
        return step

    def call_at(  # type: ignore[override]  # without its type variables
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        step = Step(callback, args, copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, next(self._numbers), step))
        return step

    def call_later(  # type: ignore[override]  # without its type variables
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task = _Task(next(self._numbers), coro, loop=self, **kwargs)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False
