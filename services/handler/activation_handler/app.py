"""The HTTP interface of the mock handler.

| request | what it does |
| --- | --- |
| `POST /api/v1/equipment/cpe/{id}` | activates a device |
| `POST`, `GET`, `DELETE /script` | says, shows and forgets how devices behave |
| `GET /api/v1/equipment/cpe/{id}/activations/{key}` | what became of a call: see `Question` |
| `GET`, `DELETE /ledger` | lists every call and question (`?equipment=`, `?key=`), forgets them |
| `GET /ledger/summary` | the ledger in numbers |
| `GET /healthz`, `GET /readyz` | for probes |
"""

import asyncio
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from activation.telemetry.admin import Readiness, health_routes
from activation.telemetry.logging import Logger
from activation.telemetry.tracing import EQUIPMENT, OUTCOME, TASK_ID, describe, serving
from activation_handler.delivery import deliver, json_response
from activation_handler.ledger import Call, Ledger
from activation_handler.playbook import Playbook
from activation_handler.provisioning import Provisioning
from activation_handler.script import Script
from activation_handler.wire import Wire

DEVICE: Final = "/api/v1/equipment/cpe/{equipment}"
ACTIVATION: Final = DEVICE + "/activations/{key}"
_MOST_DIGITS: Final = 9  # of an attempt's number; more is a mistake, and the ledger leaves it out


class ActivationRequest(BaseModel):
    """The body of a call; whatever else it holds is left alone."""

    model_config = ConfigDict(strict=True, frozen=True)

    timeout_s: Annotated[int, Field(ge=1, alias="timeoutInSeconds")]
    parameters: dict[str, Any]


class ActivationEndpoint:
    """Carries out calls: an ASGI application, as faults need more than a response object."""

    def __init__(self, provisioning: Provisioning, ledger: Ledger, log: Logger) -> None:
        self._provisioning = provisioning
        self._ledger = ledger
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a call, carry it out, answer it.

        uvicorn leaves a request alone when its client goes away. So work that was begun is
        completed, as a real provisioning system would complete it.
        """
        with serving(f"POST {DEVICE}", Headers(scope=scope)):
            describe({"http.request.method": "POST", "http.route": DEVICE})
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            call = self._begin(request, await request.body())
        except ClientDisconnect:
            return
        except ValidationError as error:
            await _unprocessable(error)(scope, receive, send)
            return
        if call.key is not None:
            describe({TASK_ID: call.key, EQUIPMENT: call.equipment})
        outcome = "stopped"
        try:
            step = await self._provisioning.carry_out(call)
            outcome = await deliver(step, scope, receive, send)
        except asyncio.CancelledError:
            if not Wire.is_under(scope):
                raise
            # The server stops. Any answer would be a lie, so the caller sees a lost connection.
            await Wire(scope, receive).reset()
        finally:
            describe({OUTCOME: outcome})
            self._ledger.end(call, outcome)
            self._log.debug(
                "call_ended",
                equipment=call.equipment,
                idempotency_key=call.key,
                attempt=call.attempt,
                outcome=outcome,
                activated=call.activated,
                repeated=call.repeated,
            )

    def _begin(self, request: Request, body: bytes) -> Call:
        asked = ActivationRequest.model_validate_json(body)
        return self._ledger.begin(
            equipment=request.path_params["equipment"],
            key=request.headers.get("idempotency-key"),
            attempt=_attempt(request.headers.get("x-attempt", "")),
            parameters=asked.parameters,
        )


class Control:
    """What tests and people use to set the handler up and to look at what it did."""

    def __init__(self, provisioning: Provisioning, playbook: Playbook, ledger: Ledger) -> None:
        self._provisioning = provisioning
        self._playbook = playbook
        self._ledger = ledger

    def routes(self) -> list[Route]:
        """Return the routes of this part."""
        return [
            Route("/script", self.add_script, methods=["POST"]),
            Route("/script", self.show_scripts),
            Route("/script", self.clear_scripts, methods=["DELETE"]),
            Route("/ledger", self.list_calls),
            Route("/ledger", self.clear_calls, methods=["DELETE"]),
            Route("/ledger/summary", self.sum_up),
            Route(ACTIVATION, self.show_activation),
        ]

    async def add_script(self, request: Request) -> Response:
        """Begin a script; 422 names the field that is wrong."""
        try:
            script = Script.model_validate_json(await request.body())
        except ValidationError as error:
            return _unprocessable(error)
        self._playbook.play(script)
        return json_response(script.model_dump(), 201)

    async def show_scripts(self, _: Request) -> Response:
        """List the scripts and how many calls took a step of each."""
        playing = self._playbook.performances()
        return json_response(
            {"scripts": [{**one.script.model_dump(), "taken": one.taken} for one in playing]}
        )

    async def clear_scripts(self, _: Request) -> Response:
        """Forget all scripts."""
        self._playbook.clear()
        return Response(status_code=204)

    async def list_calls(self, request: Request) -> Response:
        """List the calls and the questions, oldest first."""
        wanted = request.query_params
        equipment, key = wanted.get("equipment"), wanted.get("key")
        return json_response(
            {
                "calls": self._ledger.calls(equipment=equipment, key=key),
                "questions": self._ledger.questions(equipment=equipment, key=key),
            }
        )

    async def clear_calls(self, _: Request) -> Response:
        """Forget all calls and questions; what was activated stays activated."""
        self._ledger.clear()
        return Response(status_code=204)

    async def sum_up(self, _: Request) -> Response:
        """Sum the ledger up."""
        return json_response(self._ledger.summary())

    async def show_activation(self, request: Request) -> Response:
        """Tell what became of a call with an idempotency key."""
        key = request.path_params["key"]
        told = self._tell(key)
        self._ledger.note(request.path_params["equipment"], key, told.status_code)
        return told

    def _tell(self, key: str) -> Response:
        if stored := self._provisioning.answer_for(key):
            return json_response({"code": stored.status, "message": stored.text})
        if self._provisioning.is_working_on(key):
            return json_response({"code": 202, "message": "The activation is in progress"}, 202)
        return json_response({"code": 404, "message": "Nothing was activated under this key"}, 404)


def create_app(
    provisioning: Provisioning, playbook: Playbook, ledger: Ledger, log: Logger
) -> Starlette:
    """Build the application."""
    return Starlette(
        routes=[
            Route(
                DEVICE,
                ActivationEndpoint(provisioning, ledger, log),
                methods=["POST"],
            ),
            *Control(provisioning, playbook, ledger).routes(),
            *health_routes(Readiness({})),
        ]
    )


def _attempt(header: str) -> int | None:
    return int(header) if header.isdecimal() and len(header) <= _MOST_DIGITS else None


def _unprocessable(error: ValidationError) -> Response:
    faults = [  # where and why only: the input may hold secrets
        {"field": ".".join(map(str, fault["loc"])) or "body", "message": fault["msg"]}
        for fault in error.errors()
    ]
    message = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
    return json_response({"code": 422, "message": message, "faults": faults}, 422)
