"""The HTTP API of the gateway, put together."""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor

from activation.domain.task import TaskId
from activation.ports import TaskStore
from activation.telemetry.admin import Readiness, health_routes
from activation.telemetry.masking import Masker
from activation_gateway.api import description
from activation_gateway.api.activation import ActivationApi
from activation_gateway.api.docs import docs_routes
from activation_gateway.api.gateway import DirectRoute, Gateway
from activation_gateway.api.guard import Guard
from activation_gateway.api.operations import OperationsApi
from activation_gateway.api.representation import Representer
from activation_gateway.api.target import TargetApi
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.relay import QueueStatus


class _NameConvertor(StringConvertor):
    """A segment of an address up to the colon of a verb such as `:cancel`."""

    regex = "[^/:]+"


register_url_convertor("name", _NameConvertor())


def create_app(
    *,
    store: TaskStore,
    intake: Intake,
    endings: Endings,
    readiness: Readiness,
    masker: Masker,
    policy_max_attempts: int,
    queue_status: Callable[[], Awaitable[QueueStatus]],
    new_id: Callable[[], TaskId],
    draw_bits: Callable[[int], int] = secrets.randbits,
    guard: Guard | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        store: Where tasks are.
        intake: Makes requests durable.
        endings: Wakes those who wait for the end of a task.
        readiness: Answers `/readyz`.
        masker: Masks the secrets among the parameters of tasks.
        policy_max_attempts: Attempts that count before a task is a dead letter.
        queue_status: Asks the broker for the depth of the queues.
        new_id: Makes the id of a task.
        draw_bits: Returns a random number of so many bits, for trace ids.
        guard: Asks for API keys or tokens; None: nobody needs one.
    """
    represent = Representer(masker=masker, max_attempts=policy_max_attempts, now=store.now)
    activation = ActivationApi(
        store=store,
        intake=intake,
        endings=endings,
        represent=represent,
        new_id=new_id,
        draw_bits=draw_bits,
    )
    operations = OperationsApi(store=store, represent=represent, queue_status=queue_status)
    app = Gateway(
        title="Activation",
        version=version("activation-gateway"),
        summary=description.SUMMARY,
        openapi_url=None,  # served by `docs_routes`
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_activation(app.router, activation)
    _add_operations(app.router, operations)
    _add_target(app.router, TargetApi(store))
    if guard is not None:
        _protect(app, guard)
    app.routes.extend([*health_routes(readiness), *docs_routes(app, guard)])
    return app


def _protect(app: FastAPI, guard: Guard) -> None:
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.app = guard.protect(route.app, route.operation_id or "")


def _add_activation(router: APIRouter, api: ActivationApi) -> None:
    add = partial(router.add_api_route, route_class_override=DirectRoute)
    device = "/api/v1/equipment/cpe/{id}"
    add(device, api.submit, methods=["POST"], **description.SUBMIT)
    add(f"{device}/task/{{taskId}}", api.result, methods=["GET"], **description.RESULT)


def _add_operations(router: APIRouter, api: OperationsApi) -> None:
    add = partial(router.add_api_route, route_class_override=DirectRoute)
    task = "/api/v1/tasks/{taskId:name}"
    router.add_api_route("/api/v1/tasks", api.search, methods=["GET"], **description.SEARCH)
    add(task, api.show, methods=["GET"], **description.SHOW)
    add(f"{task}:cancel", api.cancel, methods=["POST"], **description.CANCEL)
    add(f"{task}:retry", api.retry, methods=["POST"], **description.RETRY)
    add("/api/v1/status", api.status, methods=["GET"], **description.STATUS)


def _add_target(router: APIRouter, api: TargetApi) -> None:
    add = partial(router.add_api_route, route_class_override=DirectRoute)
    target = "/api/v1/target"
    add(target, api.show, methods=["GET"], **description.TARGET)
    add(f"{target}:pause", api.pause, methods=["POST"], **description.PAUSE)
    add(f"{target}:resume", api.resume, methods=["POST"], **description.RESUME)
    add(f"{target}:limit", api.limit, methods=["POST"], **description.LIMIT)
