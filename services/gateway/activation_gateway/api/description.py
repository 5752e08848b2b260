"""What the documentation says of each request: the arguments of FastAPI's `add_api_route`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from activation_gateway.api import examples
from activation_gateway.api.address import SERIAL_NUMBER_PATTERN
from activation_gateway.api.body import LARGEST_BODY_BYTES
from activation_gateway.api.idempotency import KEY_PATTERN
from activation_gateway.api.openapi import Json, either, header, parameter, problem, shown
from activation_gateway.api.prefer import LONGEST_WAIT_S
from activation_gateway.api.problems import BACKLOG_FULL, STORE_AWAY, UNFORESEEN, Fault
from activation_gateway.api.representation import EQUIPMENT_NOT_FOUND, TASK_NOT_FOUND
from activation_gateway.api.submission import (
    DEFAULT_TIMEOUT_S,
    LONGEST_TIMEOUT_S,
    SHORTEST_TIMEOUT_S,
)
from activation_gateway.api.target import LARGEST_LIMIT

SUMMARY: Final = "Switches customer equipment on: takes a request at once, and tells how it ended."

_CONTRACT: Final = ["activation"]
_OPERATIONS: Final = ["operations"]

_EQUIPMENT: Final = parameter(
    "path", "id", "The equipment's serial number.", "ABC123", pattern=SERIAL_NUMBER_PATTERN
)
_TASK: Final = parameter(
    "path", "taskId", "The task, from the answer to POST.", str(examples.TASK_ID), format="uuid"
)
_KEY: Final = parameter(
    "header",
    "Idempotency-Key",
    "The same key and body give the same task for 24 h, however often they are sent.",
    "order-4711",
    pattern=KEY_PATTERN,
)
_TRACEPARENT: Final = parameter(
    "header",
    "traceparent",
    "The trace to continue (W3C Trace Context); without it the task begins a trace of its own.",
    examples.TRACEPARENT,
)

_RETRY_AFTER: Final = {
    "Retry-After": header("Ask again after so many seconds.", type="integer", minimum=1)
}
_APPLIED: Final = {"Preference-Applied": header("The preferences followed.", type="string")}

_NEXT: Final = {  # what can be asked about a new task
    "result": {
        "operationId": "result",
        "parameters": {"id": "$request.path.id", "taskId": "$response.body#/taskId"},
    },
    **{
        operation: {
            "operationId": operation,
            "parameters": {"taskId": "$response.body#/taskId"},
        }
        for operation in ("show", "cancel", "retry")
    },
}

_NO_ADDRESS: Final = problem(
    HTTPStatus.NOT_FOUND,
    "Or the address has a slash too many.",
    "There is nothing at this address; see /docs",
)
_TASK_NOT_FOUND: Final = either(shown("There is no such task.", task=TASK_NOT_FOUND), _NO_ADDRESS)
_UNFORESEEN: Final = problem(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The gateway failed.",
    UNFORESEEN,
)
_STORE_AWAY: Final = problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The store does not answer.",
    STORE_AWAY,
    headers=_RETRY_AFTER,
)
_COMMON: Final[Mapping[int | str, Json]] = {500: _UNFORESEEN, 503: _STORE_AWAY}

_UNREAD: Final[Mapping[int | str, Json]] = {
    408: problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "The body came too slowly.",
        "The body did not arrive within 30 s",
    ),
    413: problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large.",
        f"The body is larger than {LARGEST_BODY_BYTES} bytes",
    ),
    415: problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is not JSON.",
        "The body must be application/json, not text/plain",
    ),
}

_SUBMISSION: Final = {
    "title": "Submission",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "timeoutInSeconds": {
            "type": "integer",
            "minimum": SHORTEST_TIMEOUT_S,
            "maximum": LONGEST_TIMEOUT_S,
            "default": DEFAULT_TIMEOUT_S,
            "description": "How long one attempt may take.",
        },
        "parameters": {
            "description": "What the provisioning system shall be told.",
            "default": {},
            "oneOf": [
                {"type": "object"},
                {
                    "type": "array",
                    "description": "The older form: the objects are merged, names must differ.",
                    "items": {"type": "object", "minProperties": 1, "maxProperties": 1},
                },
            ],
        },
    },
}

SUBMIT: Final[dict[str, Any]] = {
    "operation_id": "submit",
    "summary": "Ask for an activation",
    "tags": _CONTRACT,
    "responses": {
        200: {
            **shown("The task cannot be lost any more.", submitted=examples.SUBMITTED),
            "links": _NEXT,
        },
        202: shown(
            "The same, for `Prefer: respond-async`.",
            submitted=examples.SUBMITTED_ASYNC,
            headers={"Location": header("Where the result will be.", type="string"), **_APPLIED},
        ),
        400: problem(
            HTTPStatus.BAD_REQUEST,
            "The body cannot be read as JSON, or the Idempotency-Key is none.",
            "The body cannot be read as JSON: Expecting value at line 1 column 22",
        ),
        404: either(
            shown("The id is no serial number.", equipment=EQUIPMENT_NOT_FOUND), _NO_ADDRESS
        ),
        **_UNREAD,
        422: problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The body breaks a rule, or the Idempotency-Key was used for a different one.",
            Fault("must be an integer from 1 to 900", pointer="/timeoutInSeconds"),
        ),
        429: problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many tasks are waiting: in all, or of this equipment.",
            BACKLOG_FULL,
            headers=_RETRY_AFTER,
        ),
        **_COMMON,
    },
    "openapi_extra": {
        "parameters": [
            _EQUIPMENT,
            _KEY,
            parameter("header", "Prefer", "`respond-async` (RFC 7240).", "respond-async"),
            _TRACEPARENT,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _SUBMISSION,
                    "examples": {
                        "usual": {
                            "value": {"timeoutInSeconds": 60, "parameters": {"config": "example"}}
                        },
                        "older form": {"value": {"parameters": [{"username": "a"}, {"vlan": 100}]}},
                    },
                }
            },
        },
    },
}

RESULT: Final[dict[str, Any]] = {
    "operation_id": "result",
    "summary": "Ask what became of a task",
    "tags": _CONTRACT,
    "responses": {
        200: shown(
            "The task succeeded; in other states only for `Prefer: return=representation`.",
            succeeded=examples.SUCCEEDED,
            running=examples.RUNNING,
            headers=_APPLIED,
        ),
        204: {
            "description": "The task is not finished.",
            "headers": _RETRY_AFTER | _APPLIED,
        },
        404: either(
            shown(
                "There is no such task, or it is another equipment's, or the provisioning system "
                "does not know the equipment.",
                task=TASK_NOT_FOUND,
                equipment=EQUIPMENT_NOT_FOUND,
            ),
            _NO_ADDRESS,
        ),
        500: either(
            shown(
                "The task failed or was cancelled.",
                failed=examples.FAILED,
                cancelled=examples.CANCELLED,
                headers=_APPLIED,
            ),
            _UNFORESEEN,
        ),
        503: _STORE_AWAY,
    },
    "openapi_extra": {
        "parameters": [
            _EQUIPMENT,
            _TASK,
            parameter(
                "header",
                "Prefer",
                "`return=representation`: 200 with the whole task in every state. `wait=20`: "
                f"answer when the task ends, or after 20 s; at most {LONGEST_WAIT_S}. (RFC 7240)",
                "return=representation",
            ),
        ],
    },
}

SEARCH: Final[dict[str, Any]] = {
    "operation_id": "search",
    "summary": "List tasks",
    "tags": _OPERATIONS,
    "responses": {
        200: shown("Tasks, newest first.", page=examples.PAGE),
        422: problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "A query parameter breaks a rule.",
            Fault("Input should be less than or equal to 500", parameter="limit"),
        ),
        **_COMMON,
    },
}

SHOW: Final[dict[str, Any]] = {
    "operation_id": "show",
    "summary": "Look into a task",
    "tags": _OPERATIONS,
    "responses": {
        200: shown("The task with its events and attempts.", task=examples.HISTORY),
        404: _TASK_NOT_FOUND,
        **_COMMON,
    },
    "openapi_extra": {"parameters": [_TASK]},
}

CANCEL: Final[dict[str, Any]] = {
    "operation_id": "cancel",
    "summary": "Cancel a task",
    "tags": _OPERATIONS,
    "responses": {
        200: shown("The task is cancelled.", cancelled=examples.CANCELLED),
        202: shown(
            "It runs: this attempt goes on, no other will follow.", running=examples.CANCELLING
        ),
        404: _TASK_NOT_FOUND,
        409: problem(
            HTTPStatus.CONFLICT,
            "The task has ended otherwise.",
            f"Task {examples.TASK_ID} has succeeded: only an unfinished task can be cancelled",
        ),
        **_COMMON,
    },
    "openapi_extra": {"parameters": [_TASK]},
}

RETRY: Final[dict[str, Any]] = {
    "operation_id": "retry",
    "summary": "Try a failed task again",
    "tags": _OPERATIONS,
    "responses": {
        200: shown("The task is queued again.", queued=examples.QUEUED),
        404: _TASK_NOT_FOUND,
        409: problem(
            HTTPStatus.CONFLICT,
            "The task has not failed.",
            f"Task {examples.TASK_ID} is running: only a failed task can be replayed",
        ),
        **_COMMON,
    },
    "openapi_extra": {"parameters": [_TASK]},
}

STATUS: Final[dict[str, Any]] = {
    "operation_id": "status",
    "summary": "See the whole system at a glance",
    "tags": _OPERATIONS,
    "responses": {200: shown("How things stand.", status=examples.STATUS), **_COMMON},
}

TARGET: Final[dict[str, Any]] = {
    "operation_id": "target",
    "summary": "See whether the provisioning system is called",
    "tags": _OPERATIONS,
    "responses": {
        200: shown(
            "How it stands for all workers.",
            closed=examples.TARGET_CLOSED,
            open=examples.TARGET_OPEN,
            overloaded=examples.TARGET_OVERLOADED,
        ),
        **_COMMON,
    },
}

PAUSE: Final[dict[str, Any]] = {
    "operation_id": "pauseTarget",
    "summary": "Keep calls of the provisioning system back",
    "tags": _OPERATIONS,
    "responses": {
        200: shown(
            "No new call begins until somebody resumes; those under way end by themselves.",
            paused=examples.TARGET_PAUSED,
        ),
        **_COMMON,
    },
}

RESUME: Final[dict[str, Any]] = {
    "operation_id": "resumeTarget",
    "summary": "Call the provisioning system again",
    "tags": _OPERATIONS,
    "responses": {
        200: shown("It is called at once, whatever held it back.", closed=examples.TARGET_CLOSED),
        **_COMMON,
    },
}

LIMIT: Final[dict[str, Any]] = {
    "operation_id": "limitTarget",
    "summary": "Say how many calls of the provisioning system there may be at once",
    "tags": _OPERATIONS,
    "responses": {
        200: shown(
            "Of all workers together; what was learned of it is forgotten.",
            limited=examples.TARGET_LIMITED,
        ),
        400: problem(
            HTTPStatus.BAD_REQUEST,
            "The body cannot be read as JSON.",
            "The body cannot be read as JSON: Expecting value at line 1 column 14",
        ),
        **_UNREAD,
        422: problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The body breaks a rule.",
            Fault(f"must be null, or an integer from 1 to {LARGEST_LIMIT}", pointer="/maxCalls"),
        ),
        **_COMMON,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "title": "TargetLimit",
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["maxCalls"],
                        "properties": {
                            "maxCalls": {
                                "type": ["integer", "null"],
                                "minimum": 1,
                                "maximum": LARGEST_LIMIT,
                                "description": "null: as many as it bears.",
                            }
                        },
                    },
                    "examples": {
                        "so many": {"value": {"maxCalls": 20}},
                        "as many as it bears": {"value": {"maxCalls": None}},
                    },
                }
            },
        },
    },
}
