"""The public contract: to ask for an activation, and to ask what became of it."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from activation.domain.task import NewTask, Task, TaskId
from activation.ports import TaskStore
from activation.telemetry.logging import get_logger
from activation.telemetry.tracing import EQUIPMENT, TASK_ID, about, current_traceparent, step
from activation_gateway.api.address import NotFoundError, found, read_equipment, read_task_id
from activation_gateway.api.answer import NOT_STORED, answer
from activation_gateway.api.body import read_json
from activation_gateway.api.guard import caller_of
from activation_gateway.api.idempotency import read_key
from activation_gateway.api.prefer import Preferences, read_preferences
from activation_gateway.api.representation import (
    EQUIPMENT_NOT_FOUND,
    NOT_FINISHED,
    Representer,
    verdict,
)
from activation_gateway.api.submission import read_submission
from activation_gateway.api.trace_context import continue_trace, trace_id
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake

_LONGEST_PAUSE_S: Final = 30  # between two looks at a task that takes long
_LOOKS: Final = 10  # about how often a client looks at a task that takes as long as it may

log = get_logger()


class ActivationApi:
    """Answers the two requests of the contract.

    Args:
        store: Where tasks are looked up.
        intake: Makes requests durable.
        endings: Wakes those who wait for the end of a task.
        represent: Shows tasks.
        new_id: Makes the id of a task.
        draw_bits: Returns a random number of so many bits.
    """

    def __init__(
        self,
        *,
        store: TaskStore,
        intake: Intake,
        endings: Endings,
        represent: Representer,
        new_id: Callable[[], TaskId],
        draw_bits: Callable[[int], int],
    ) -> None:
        self._store = store
        self._intake = intake
        self._endings = endings
        self._represent = represent
        self._new_id = new_id
        self._draw_bits = draw_bits

    async def submit(self, request: Request) -> Response:
        """Accept a task: it is durable when the answer is sent."""
        equipment = read_equipment(request.path_params["id"])
        submission = read_submission(await read_json(request))
        headers = request.headers
        key = headers.get("idempotency-key")
        traceparent = current_traceparent() or continue_trace(
            headers.get("traceparent"), self._draw_bits
        )
        task = NewTask(
            id=self._new_id(),
            equipment=equipment,
            timeout_s=submission.timeout_s,
            parameters=submission.parameters_json,
            idempotency=None if key is None else read_key(key, equipment, submission),
            traceparent=traceparent,
            caller=caller_of(request),
        )
        described = {TASK_ID: str(task.id), EQUIPMENT: equipment}
        with about(described), step("accept"):
            accepted = await self._intake.accept(task)
        log.info(
            "task_repeated" if accepted.repeated else "task_accepted",
            task_id=str(accepted.task_id),
            equipment=equipment,
            trace_id=trace_id(traceparent),
        )
        if read_preferences(headers.getlist("prefer")).respond_async:
            location = f"/api/v1/equipment/cpe/{equipment}/task/{accepted.task_id}"
            applied = {"Location": location, "Preference-Applied": "respond-async"}
            return _submitted(HTTPStatus.ACCEPTED, accepted.task_id, applied)
        return _submitted(HTTPStatus.OK, accepted.task_id)

    async def result(self, request: Request) -> Response:
        """Say what became of a task, at once or when it has ended."""
        equipment = read_equipment(request.path_params["id"])
        task_id = read_task_id(request.path_params["taskId"])
        preferences = read_preferences(request.headers.getlist("prefer"))
        task = await self._find(equipment, task_id, wait_s=preferences.wait_s or 0)
        headers = NOT_STORED | {"Vary": "Prefer"} | _applied(preferences)
        words = verdict(task)
        if words is NOT_FINISHED:
            headers["Retry-After"] = str(_pause_s(task, self._store.now()))
        if preferences.representation:
            return answer(self._represent.task(task), HTTPStatus.OK, headers)
        if words is NOT_FINISHED:
            return Response(None, words.code, headers)
        body = words if words is EQUIPMENT_NOT_FOUND else self._represent.task(task)
        return answer(body, words.code, headers)

    async def _find(self, equipment: str, task_id: TaskId, wait_s: int) -> Task:
        """Return a task of this equipment, after waiting for its end so many seconds."""
        if wait_s:
            task = found(await self._endings.await_end(task_id, wait_s, equipment=equipment))
        else:
            task = found(await self._store.get(task_id))
        if task.equipment != equipment:
            raise NotFoundError(EQUIPMENT_NOT_FOUND)
        return task


def _submitted(
    status: HTTPStatus, task_id: TaskId, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer that a task is durable; written by hand, because every request comes here."""
    return Response(
        f'{{"code":{status:d},"taskId":"{task_id}"}}', status, headers, "application/json"
    )


def _applied(preferences: Preferences) -> dict[str, str]:
    """Name the preferences that the answer follows (RFC 7240 section 3)."""
    applied = []
    if preferences.representation:
        applied.append("return=representation")
    if preferences.wait_s is not None:
        applied.append(f"wait={preferences.wait_s}")
    return {"Preference-Applied": ", ".join(applied)} if applied else {}


def _pause_s(task: Task, now: datetime) -> int:
    """Say after how many seconds it is worth to look again."""
    if task.not_before is not None and task.not_before > now:
        return math.ceil((task.not_before - now).total_seconds())
    return max(1, min(_LONGEST_PAUSE_S, task.timeout_s // _LOOKS))
