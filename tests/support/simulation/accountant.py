"""What must hold at the end of every simulation; each rule yields what breaks it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import combinations, pairwise
from typing import Final

from activation.domain.outcome import WORKER_LOST, Reason
from activation.domain.task import (
    ENDED,
    Attempt,
    EventName,
    State,
    Task,
    TaskId,
    attempts,
)
from activation.store.record import CANCELLED, Record
from tests.support.simulation.clients import Clients, Request
from tests.support.simulation.faults import Chaos
from tests.support.simulation.fleet import POLICY, Fleet, Life
from tests.support.simulation.handler import Call, words_for
from tests.support.world import EPOCH

_ROUNDING_S: Final = 1e-5  # the store's times are whole microseconds
_SAID_BY_HANDLER: Final = frozenset(
    {
        Reason.COMPLETED,
        Reason.UNKNOWN_EQUIPMENT,
        Reason.REFUSED,
        Reason.PROVISIONING_ERROR,
        Reason.OVERLOADED,
        Reason.UNAVAILABLE,
    }
)


class Accountant:
    """Compares what clients were told, what the store holds and what the handler's ledger says."""

    def __init__(self, fleet: Fleet, clients: Clients, chaos: Chaos) -> None:
        self._fleet = fleet
        self._clients = clients
        self._chaos = chaos
        self._records = dict(fleet.store._records)
        self._request = {id_: request for request in clients.requests for id_ in request.ids}
        self._attempts = {
            (str(id_), attempt.number): attempt
            for id_, record in self._records.items()
            for attempt in attempts(record.history)
        }
        self._lives = {life.process.name: life for life in fleet.lives}

    def findings(self) -> list[str]:
        """Return everything that is wrong."""
        return [f"{rule.__name__.strip('_')}: {what}" for rule in _RULES for what in rule(self)]

    def _lost(self) -> Iterator[str]:
        for request in self._clients.requests:
            for task_id in request.accepted:
                record = self._records.get(task_id)
                if record is None or record.task.state not in ENDED:
                    yield f"{_name(task_id)} was accepted, and is {record and record.task.state}"

    def _unfinished(self) -> Iterator[str]:
        for task in self._tasks():
            if task.state not in ENDED:
                yield f"{_name(task.id)} is {task.state}"

    def _doubled(self) -> Iterator[str]:
        for request in self._clients.requests:
            made = [id_ for id_ in request.ids if id_ in self._records]
            if len(made) > 1 or set(request.accepted) - set(made):
                yield f"one request is the tasks {[*map(_name, made)]}, told {request.accepted}"

    def _activated_twice(self) -> Iterator[str]:
        for key, times in self._fleet.handler.activations.items():
            if times > 1:
                yield f"{key} {times} times"

    def _called_twice(self) -> Iterator[str]:
        calls = Counter((call.key, call.attempt) for call in self._fleet.handler.calls)
        for (key, attempt), times in calls.items():
            if times > 1 or (key, attempt) not in self._attempts:
                yield f"attempt {attempt} of {key} called {times} times"

    def _overlapping(self) -> Iterator[str]:
        for device, calls in self._live_calls().items():
            for one, other in combinations(calls, 2):
                if self._begin(other) < self._end(one) - _ROUNDING_S:
                    yield f"{device}: {_describe(one)} and {_describe(other)}"

    def _out_of_order(self) -> Iterator[str]:
        for device, calls in self._live_calls().items():
            line = [r for id_, r in self._records.items() if self._device(id_) == device]
            for one, other in pairwise(line):
                for call in calls:
                    early = self._begin(call) < _seconds(one.task.finished_at) - _ROUNDING_S
                    if call.key == str(other.task.id) and early:
                        yield f"{device}: {_describe(call)} before the end of {one.task.id}"

    def _accepted_out_of_order(self) -> Iterator[str]:
        for one, other in combinations(self._clients.requests, 2):
            first, second = sorted((one, other), key=_asked)
            if first.equipment != second.equipment or not first.accepted:
                continue
            if (first.answered_s or 0.0) < second.asked_s and any(
                self._place(first.accepted[0]) > self._place(id_)
                for id_ in second.ids
                if id_ in self._records
            ):
                yield f"{first.accepted[0]} stands behind a later request"

    def _called_after_its_end(self) -> Iterator[str]:
        for calls in self._live_calls().values():
            for call in calls:
                ended = self._attempts[call.key, call.attempt].ended_at
                if ended is not None and self._begin(call) > _seconds(ended) + _ROUNDING_S:
                    yield _describe(call)

    def _wrong_result(self) -> Iterator[str]:
        for task in self._tasks():
            if task.reason in _SAID_BY_HANDLER and task.message != words_for(task.attempt):
                yield f"{_name(task.id)} ended in attempt {task.attempt} with {task.message!r}"
            if (
                task.state is State.SUCCEEDED
                and str(task.id) not in self._fleet.handler.activations
            ):
                yield f"{_name(task.id)} succeeded without being activated"

    def _miscounted(self) -> Iterator[str]:
        unexplained = 0
        for record in self._records.values():
            task, happened = record.task, Counter(event.name for event in record.history)
            counted = task.attempt - task.uncounted
            if happened[EventName.STARTED] != task.attempt:
                yield f"{_name(task.id)} began {happened[EventName.STARTED]} of {task.attempt}"
            withdrawn = task.state is State.CANCELLED and task.message != CANCELLED.message
            spared = task.uncounted - happened[EventName.HANDED_BACK]
            if spared < 0:
                yield f"{_name(task.id)} has only {task.uncounted} attempts that do not count"
            unexplained += max(0, spared - withdrawn)
            if counted > POLICY.max_attempts:
                yield f"{_name(task.id)} had {counted} attempts"
            if task.dead_letter and counted != POLICY.max_attempts:
                yield f"{_name(task.id)} is a dead letter after {counted} attempts"
            if sum(event.name in _ENDS for event in record.history) > 1:
                yield f"{_name(task.id)} ended more than once"
        if unexplained > self._fleet.policy.failed_probes:
            yield f"{unexplained} attempts do not count for no reason"

    def _handed_back_for_nothing(self) -> Iterator[str]:
        for (key, number), attempt in self._attempts.items():
            back = attempt.result is EventName.HANDED_BACK
            if back and not self._lives[attempt.worker or ""].stopped:
                yield f"attempt {number} of {key} by {attempt.worker}"

    def _taken_from_the_living(self) -> Iterator[str]:
        for (key, number), attempt in self._attempts.items():
            if _is_reaped(attempt) and not self._has_excuse(attempt):
                yield f"attempt {number} of {key} from {attempt.worker}"

    def _has_excuse(self, attempt: Attempt) -> bool:
        begun, ended = _seconds(attempt.started_at), _seconds(attempt.ended_at)
        life = self._lives[attempt.worker or ""]
        frozen = any(at <= ended for at in life.troubled_s)
        dark = any(start <= ended and end >= begun for start, end in self._chaos.store_trouble_s)
        return frozen or dark

    def _wrongly_cancelled(self) -> Iterator[str]:
        for task in self._tasks():
            answers = self._clients.cancels.get(task.id)
            if task.state is State.CANCELLED and answers is None:
                yield f"{_name(task.id)} without being asked to"
        for task_id, answers in self._clients.cancels.items():
            for answer in answers:
                told = answer is not None and answer.ended
                if told and self._records[task_id].task.state is not State.CANCELLED:
                    yield f"{_name(task_id)} was said to be, and is not"

    def _left_over(self) -> Iterator[str]:
        broker = self._fleet.broker
        for record in self._records.values():
            if record.publish_at is not None:
                yield f"{_name(record.task.id)} is owed a message"
        if broker.waiting or broker.on_loan:
            yield f"{len(broker.waiting)} messages wait, {broker.on_loan} are on loan"
        if set(broker.dead) - {b"garbage"}:
            yield f"dead letters: {broker.dead}"

    def _crashed(self) -> Iterator[str]:
        for name, life in self._lives.items():
            if _crash(life):
                yield f"{name}: {life.main.exception()!r}"
            if life.leaving:
                yield f"{name} was told to stop, and did not leave"
        for error in self._fleet.loop.errors:
            yield str(error)

    def _tasks(self) -> Iterable[Task]:
        return [record.task for record in self._records.values()]

    def _device(self, task_id: TaskId) -> str:
        return self._request[task_id].equipment

    def _place(self, task_id: TaskId) -> int:
        return self._records[task_id].seq

    def _live_calls(self) -> dict[str, list[Call]]:
        """Sort the calls by device, without those of zombies and those whose caller was gone."""
        calls: defaultdict[str, list[Call]] = defaultdict(list)
        for call in self._fleet.handler.calls:
            if (call.key, call.attempt) in self._attempts and self._begin(call) < self._end(call):
                calls[call.equipment].append(call)
        return calls

    def _begin(self, call: Call) -> float:
        return call.started_s or 0.0

    def _end(self, call: Call) -> float:
        """Return when a call ended, was given up, or lost its lease: whichever came first."""
        attempt = self._attempts[call.key, call.attempt]
        reaped_s = _seconds(attempt.ended_at) if _is_reaped(attempt) else None
        ends = [end for end in (call.ended_s, call.left_s, reaped_s) if end is not None]
        return min(ends, default=float("inf"))


_ENDS: Final = frozenset({EventName.SUCCEEDED, EventName.FAILED, EventName.CANCELLED})
_RULES: Final[tuple[Callable[[Accountant], Iterator[str]], ...]] = (
    Accountant._lost,
    Accountant._unfinished,
    Accountant._doubled,
    Accountant._activated_twice,
    Accountant._called_twice,
    Accountant._overlapping,
    Accountant._out_of_order,
    Accountant._accepted_out_of_order,
    Accountant._called_after_its_end,
    Accountant._wrong_result,
    Accountant._miscounted,
    Accountant._handed_back_for_nothing,
    Accountant._taken_from_the_living,
    Accountant._wrongly_cancelled,
    Accountant._left_over,
    Accountant._crashed,
)


def at_rest(fleet: Fleet) -> bool:
    """Tell whether nothing is left to do."""
    records: Iterable[Record] = fleet.store._records.values()
    busy = any(r.publish_at is not None or r.task.state not in ENDED for r in records)
    leaving = any(life.leaving for life in fleet.lives)
    return not (busy or leaving or fleet.broker.waiting or fleet.broker.on_loan)


def _is_reaped(attempt: Attempt) -> bool:
    return attempt.ended_at is not None and attempt.message == WORKER_LOST.message


def _crash(life: Life) -> bool:
    return life.main.done() and not life.main.cancelled() and life.main.exception() is not None


def _asked(request: Request) -> float:
    return request.asked_s


def _describe(call: Call) -> str:
    return (
        f"{call.process.name} called {call.key[-4:]} attempt {call.attempt} "
        f"at {call.started_s:.3f} s until {call.ended_s} s, left at {call.left_s} s"
    )


def _name(task_id: TaskId) -> str:
    return f"#{task_id.int}"


def _seconds(moment: datetime | None) -> float:
    return float("inf") if moment is None else (moment - EPOCH).total_seconds()
