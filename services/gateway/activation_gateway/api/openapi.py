"""The OpenAPI document, and the parts that it is made of."""

import json
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from activation_gateway.api.answer import BODIES, to_json
from activation_gateway.api.guard import KEY_LACKS, KEY_MISSING, KEY_TOO_FAST
from activation_gateway.api.problems import MEDIA_TYPE, Fault, Problem
from activation_gateway.scopes import NEEDED, Scope

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"


def describe(app: FastAPI, *, guarded: bool) -> Json:
    """Write the OpenAPI document of an application, whose requests need API keys or not."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    _, schemas = TypeAdapter.json_schemas(
        [(kind, "serialization", adapter) for kind, adapter in BODIES.items()], ref_template=_REF
    )
    document["components"]["schemas"] |= schemas["$defs"]
    if guarded:
        _ask_for_keys(document)
    return document


def _ask_for_keys(document: Json) -> None:
    """Say of each operation which key it needs, and how it answers one without."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path in document["paths"].values():
        for operation in path.values():
            scope = NEEDED[operation["operationId"]]
            operation["security"] = [{"bearer": [scope]}, {"apiKey": [scope]}]
            operation["responses"] = _REFUSALS | operation["responses"]


def shown(description: str, *, headers: Json | None = None, **examples: object) -> Json:
    """Describe an answer by examples of its body, which are all of one kind."""
    [kind] = {type(body) for body in examples.values()}
    return {
        "description": description,
        "headers": headers or {},
        "content": {
            "application/json": {
                "schema": {"$ref": _REF.format(model=kind.__name__)},
                "examples": {name: _example(body) for name, body in examples.items()},
            }
        },
    }


def problem(
    status: HTTPStatus,
    description: str,
    fault: str | Fault,
    *,
    headers: Json | None = None,
) -> Json:
    """Describe a problem by an example of what can be wrong."""
    errors = [fault] if isinstance(fault, Fault) else None
    body = Problem(status, status.phrase, str(fault), errors=errors)
    return {
        "description": description,
        "headers": headers or {},
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(model=Problem.__name__)},
                "examples": {"problem": _example(body, leave_out_none=True)},
            }
        },
    }


def either(first: Json, second: Json) -> Json:
    """Describe two answers of the same status whose bodies are of different media types."""
    return first | {
        "description": f"{first['description']} {second['description']}",
        "content": first["content"] | second["content"],
    }


def header(description: str, **schema: Any) -> Json:
    """Describe a header of an answer."""
    return {"description": description, "schema": schema}


def parameter(place: str, name: str, description: str, example: str, **schema: Any) -> Json:
    """Describe a parameter of a request; only those in the path are required."""
    return {
        "in": place,
        "name": name,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


def _example(body: object, *, leave_out_none: bool = False) -> Json:
    return {"value": json.loads(to_json(body, leave_out_none=leave_out_none))}


_CHALLENGE: Final = {"WWW-Authenticate": header("What is wrong (RFC 6750).", type="string")}
_REFUSALS: Final = {
    "401": problem(
        HTTPStatus.UNAUTHORIZED,
        "The API key is missing, not known, or has expired.",
        KEY_MISSING,
        headers=_CHALLENGE,
    ),
    "403": problem(
        HTTPStatus.FORBIDDEN,
        "The API key is not good for this.",
        KEY_LACKS.format(id="crm", scope=Scope.OPERATE),
        headers=_CHALLENGE,
    ),
    "429": problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "The API key is used too often.",
        KEY_TOO_FAST.format(id="crm"),
        headers={"Retry-After": header("Ask again after so many seconds.", type="integer")},
    ),
}
