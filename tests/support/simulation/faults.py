"""What goes wrong in a simulation: a schedule drawn from the seed, and how it is carried out."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.support.simulation.clients import ACTIVE_S
from tests.support.simulation.fleet import GATEWAYS, LEASE_S, WORKERS, Fleet, Life, Place
from tests.support.simulation.loop import Process, current_process
from tests.support.simulation.wire import Stage

_PATIENCE_S: Final = 8.0  # a fault whose moment does not come happens anyhow
_GATEWAY_STEPS: Final = ("accept", "publish", "mark_published", "take_ready", "reap", "cancel")
_WORKER_STEPS: Final = ("claim", "call", "finish", "renew", "connect")
_PROCESS_FAULTS: Final = ("kill", "kill", "freeze", "freeze", "stop")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at_s: When, by the loop's clock.
        what: The name of a method of `Chaos`.
        victim: Which of the processes.
        for_s: How long it lasts.
        step: It waits for the victim's next step of this name …
        stage: … and happens before it, or when the server has just done it.
    """

    at_s: float
    what: str
    victim: str = ""
    for_s: float = 0.0
    step: str = ""
    stage: Stage = "before"

    def __str__(self) -> str:
        when = f", {self.stage} its next {self.step}" if self.step else ""
        return f"{self.at_s:6.2f} s  {self.what} {self.victim} for {self.for_s:.2f} s{when}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What goes wrong.

    Attributes:
        trouble: The share of calls that meet a handler in trouble.
        refusals: The share of calls that are refused for good.
        lost_answers: The share of the store's answers that are lost, all the time.
    """

    faults: tuple[Fault, ...]
    trouble: float
    refusals: float
    lost_answers: float

    def __str__(self) -> str:
        shares = (
            f"handler in trouble {self.trouble:.2f}, refuses {self.refusals:.2f}, "
            f"store's answers lost {self.lost_answers:.2f}"
        )
        return "\n".join([shares, *map(str, self.faults)])


def draw_schedule(random: Random) -> Schedule:
    """Draw what goes wrong, before anything begins."""
    faults = sorted((_draw_fault(random) for _ in range(random.randint(1, 6))), key=_moment)
    return Schedule(
        faults=tuple(faults),
        trouble=random.choice([0.0, 0.2, 0.6]),
        refusals=random.choice([0.0, 0.1]),
        lost_answers=random.choice([0.0, 0.0, 0.05]),
    )


def _moment(fault: Fault) -> float:
    return fault.at_s


def _draw_fault(random: Random) -> Fault:
    at_s = random.random() * ACTIVE_S
    for_s = random.choice([1.0, LEASE_S, 2 * LEASE_S]) * random.random()
    if random.random() < 0.4:
        return Fault(at_s, random.choice(_SERVER_FAULTS), for_s=for_s)
    role = random.choice(["gateway", "worker"])
    number = random.randrange(GATEWAYS if role == "gateway" else WORKERS)
    timed = random.random() < 0.3
    steps = _GATEWAY_STEPS if role == "gateway" else _WORKER_STEPS
    return Fault(
        at_s,
        random.choice(_PROCESS_FAULTS),
        victim=f"{role}-{number}",
        for_s=for_s,
        step="" if timed else random.choice(steps),
        stage=random.choice(["before", "after"]),
    )


class Chaos:
    """Carries a schedule out, and puts everything right in the end.

    Attributes:
        store_trouble_s: From when to when the store could not be relied upon.
    """

    def __init__(self, fleet: Fleet, schedule: Schedule) -> None:
        self._fleet = fleet
        self._schedule = schedule
        self._armed: list[tuple[Place, Fault]] = []
        self._healed = False
        self.store_trouble_s: list[tuple[float, float]] = []
        fleet.on_passing = self._on_passing

    async def run(self) -> None:
        """Let everything go wrong, wait until it is over, and make the rest of the world calm."""
        fleet, schedule, loop = self._fleet, self._schedule, self._fleet.loop
        fleet.handler.mood.trouble = schedule.trouble
        fleet.handler.mood.refusals = schedule.refusals
        fleet.store_wire.lost_answers = schedule.lost_answers
        for fault in schedule.faults:
            loop.call_at(fault.at_s, self._begin, fault, context=Context())
        over_s = max(fault.at_s + fault.for_s for fault in schedule.faults)
        await asyncio.sleep(max(ACTIVE_S, over_s) + _PATIENCE_S)
        self._heal()

    def _heal(self) -> None:
        fleet = self._fleet
        self._healed = True
        self._armed.clear()
        fleet.handler.mood.trouble = fleet.handler.mood.refusals = 0.0
        fleet.store_wire.lost_answers = 0.0
        if self._schedule.lost_answers:
            self.store_trouble_s.append((0.0, fleet.loop.time()))
        for place in [*fleet.gateways, *fleet.workers]:
            fleet.thaw(place.life)
            self._replace(place, place.life)

    def _begin(self, fault: Fault) -> None:
        if not fault.victim:
            self._fleet.journal.note(current_process(), "FAULT", fault.what)
            _ON_SERVERS[fault.what](self, fault.for_s)
            return
        role, number = fault.victim.split("-")
        places = self._fleet.gateways if role == "gateway" else self._fleet.workers
        place = places[int(number)]
        if not fault.step:
            self._strike(place, fault)
            return
        self._armed.append((place, fault))
        self._later(_PATIENCE_S, lambda: self._strike_if_armed(place, fault))

    def _strike_if_armed(self, place: Place, fault: Fault) -> None:
        if (place, fault) in self._armed:
            self._armed.remove((place, fault))
            self._strike(place, fault)

    def _on_passing(self, process: Process, step: str, stage: Stage) -> None:
        for place, fault in list(self._armed):
            if (fault.step, fault.stage) == (step, stage) and place.life.process is process:
                self._strike_if_armed(place, fault)

    def _strike(self, place: Place, fault: Fault) -> None:
        if self._healed:
            return
        fleet, life = self._fleet, place.life
        match fault.what:
            case "kill":
                fleet.kill(life)
                self._later(fault.for_s, lambda: self._replace(place, life))
            case "freeze":
                fleet.freeze(life)
                self._later(fault.for_s, lambda: fleet.thaw(life))
            case "stop":
                fleet.stop(life)
                self._later(fault.for_s, lambda: self._replace(place, life))

    def _replace(self, place: Place, gone: Life) -> None:
        """Start the next process where one is dead, or was told to leave."""
        if place.life is gone and (gone.process.dead or gone.stopped):
            self._fleet.start(place)

    def _store_down(self, for_s: float) -> None:
        self._fleet.store_wire.down = True
        self._trouble_the_store(for_s, self._store_up)

    def _store_up(self) -> None:
        self._fleet.store_wire.down = False

    def _store_slow(self, for_s: float) -> None:
        self._fleet.store_wire.delay_s = 1.5
        self._trouble_the_store(for_s, self._store_quick)

    def _store_quick(self) -> None:
        self._fleet.store_wire.delay_s = 0.0

    def _store_mute(self, for_s: float) -> None:
        self._fleet.store_wire.lost_answers = 0.8
        self._trouble_the_store(for_s, self._store_heard)

    def _store_heard(self) -> None:
        self._fleet.store_wire.lost_answers = 0.0 if self._healed else self._schedule.lost_answers

    def _trouble_the_store(self, for_s: float, end: Callable[[], None]) -> None:
        now = self._fleet.loop.time()
        self.store_trouble_s.append((now, now + for_s))
        self._later(for_s, end)

    def _broker_down(self, for_s: float) -> None:
        self._fleet.broker.stop()
        self._later(for_s, self._fleet.broker.start)

    def _broker_cut(self, _: float) -> None:
        self._fleet.broker.cut()

    def _broker_slow(self, for_s: float) -> None:
        self._fleet.broker_wire.delay_s = 1.0
        self._later(for_s, self._broker_quick)

    def _broker_quick(self) -> None:
        self._fleet.broker_wire.delay_s = 0.0

    def _queue_deleted(self, _: float) -> None:
        self._fleet.broker.delete_queue()

    def _messages_repeated(self, for_s: float) -> None:
        for share in range(5):
            self._later(for_s * share / 5, lambda: self._fleet.broker.duplicate(self._fleet.random))

    def _messages_reordered(self, _: float) -> None:
        self._fleet.broker.reorder(self._fleet.random)

    def _stranger_writes(self, _: float) -> None:
        self._fleet.broker.put(b"garbage")

    def _handler_away(self, for_s: float) -> None:
        self._fleet.handler.mood.away = True
        self._later(for_s, self._handler_back)

    def _handler_back(self) -> None:
        self._fleet.handler.mood.away = False

    def _workers_killed(self, for_s: float) -> None:
        for number in range(WORKERS):
            place = self._fleet.workers[number]
            self._strike(place, Fault(0.0, "kill", for_s=for_s))

    def _later(self, after_s: float, work: Callable[[], None]) -> None:
        self._fleet.loop.call_later(after_s, work, context=Context())


_ON_SERVERS: Final[dict[str, Callable[[Chaos, float], None]]] = {
    method.__name__.strip("_").replace("_", " "): method
    for method in (
        Chaos._store_down,
        Chaos._store_slow,
        Chaos._store_mute,
        Chaos._broker_down,
        Chaos._broker_cut,
        Chaos._broker_slow,
        Chaos._queue_deleted,
        Chaos._messages_repeated,
        Chaos._messages_reordered,
        Chaos._stranger_writes,
        Chaos._handler_away,
        Chaos._workers_killed,
    )
}
_SERVER_FAULTS: Final = tuple(_ON_SERVERS)
