"""The OpenAPI document, and the parts that it is made of."""

import json
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from activation_gateway.api.answer import BODIES, to_json
from activation_gateway.api.guard import LACKS, MISSING, TOO_FAST, Guard
from activation_gateway.api.problems import MEDIA_TYPE, Fault, Problem
from activation_gateway.scopes import NEEDED, Scope

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"


def describe(app: FastAPI, *, guard: Guard | None) -> Json:
    """Write the OpenAPI document of an application, and what its guard asks for."""
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
    if guard is not None:
        _ask_for_credentials(document, guard)
    return document


def _ask_for_credentials(document: Json, guard: Guard) -> None:
    """Say of each operation which key or token it needs, and how it answers without."""
    schemes: Json = {}
    prefixes: dict[str, str] = {}
    if guard.keys is not None:
        schemes |= _KEY_SCHEMES
        prefixes |= dict.fromkeys(_KEY_SCHEMES, "")
    if guard.tokens is not None:
        rules = guard.tokens.rules
        schemes["token"] = {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": f"An access token of {rules.issuer} for {rules.audience}.",
        }
        prefixes["token"] = rules.scope_prefix
    document["components"]["securitySchemes"] = schemes
    refusals = _refusals(guard.kind)
    for path in document["paths"].values():
        for operation in path.values():
            scope = NEEDED[operation["operationId"]]
            operation["security"] = [{name: [f"{prefixes[name]}{scope}"]} for name in schemes]
            operation["responses"] = refusals | operation["responses"]
            if guard.tokens is not None:
                operation["responses"]["503"]["description"] += _ISSUER_AWAY


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


_KEY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_ISSUER_AWAY: Final = " Or the keys of the issuer of tokens are not known now."
_CHALLENGE: Final = {"WWW-Authenticate": header("What is wrong (RFC 6750).", type="string")}


def _refusals(kind: str) -> Json:
    return {
        "401": problem(
            HTTPStatus.UNAUTHORIZED,
            f"The {kind} is missing, not known, or has expired.",
            MISSING.format(kind=kind),
            headers=_CHALLENGE,
        ),
        "403": problem(
            HTTPStatus.FORBIDDEN,
            f"The {kind} is not good for this.",
            LACKS.format(credentials="API key crm", scope=Scope.OPERATE),
            headers=_CHALLENGE,
        ),
        "429": problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"The {kind} is used too often.",
            TOO_FAST.format(credentials="API key crm"),
            headers={"Retry-After": header("Ask again after so many seconds.", type="integer")},
        ),
    }
