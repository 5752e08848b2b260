"""What the OpenAPI document of the gateway cannot say, for Schemathesis (`schemathesis.toml`)."""

import re
from typing import Any
from uuid import uuid4

import schemathesis

_KEY = re.compile("[!-~]{1,255}")


@schemathesis.hook
def filter_body(_: schemathesis.HookContext, body: Any) -> bool:
    """Leave out bodies that JSON Schema allows: it cannot say that names in a list must differ."""
    parameters = body.get("parameters") if isinstance(body, dict) else None
    if not isinstance(parameters, list):
        return True
    names = [name for element in parameters if isinstance(element, dict) for name in element]
    return len(names) == len(set(names))


@schemathesis.hook
def before_call(
    _: schemathesis.HookContext, case: schemathesis.Case[Any], __: dict[str, Any]
) -> None:
    """Use each valid Idempotency-Key once: with another body it is refused, as it should be."""
    if _KEY.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = str(uuid4())


@schemathesis.check
def gateway_does_not_fail(
    _: schemathesis.CheckContext, response: schemathesis.Response, __: schemathesis.Case[Any]
) -> None:
    """A task that failed is 500 by contract, and no problem; only the gateway's own faults are."""
    [media_type] = response.headers.get("content-type", [""])
    assert response.status_code < 500 or media_type == "application/json"  # 5xx
