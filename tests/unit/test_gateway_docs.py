"""`/docs` and `/openapi.json`: complete, and without internet."""

import re
from typing import Any

import httpx
import pytest

from tests.support.gateway import GatewayUnderTest

OPERATIONS = {
    ("post", "/api/v1/equipment/cpe/{id}"),
    ("get", "/api/v1/equipment/cpe/{id}/task/{taskId}"),
    ("get", "/api/v1/tasks"),
    ("get", "/api/v1/tasks/{taskId}"),
    ("post", "/api/v1/tasks/{taskId}:cancel"),
    ("post", "/api/v1/tasks/{taskId}:retry"),
    ("get", "/api/v1/status"),
    ("get", "/api/v1/target"),
    ("post", "/api/v1/target:pause"),
    ("post", "/api/v1/target:resume"),
    ("post", "/api/v1/target:limit"),
}


@pytest.fixture
async def document(gateway: GatewayUnderTest) -> Any:
    """The OpenAPI document."""
    return (await gateway.http.get("/openapi.json")).json()


async def test_page_names_no_other_host(gateway: GatewayUnderTest) -> None:
    """Every file that the page loads comes from the gateway, also behind a path prefix."""
    page = await gateway.http.get("/docs")

    named = re.findall(r"""(?:href|src|url)\s*[=:]\s*["']([^"']*)["']""", page.text)
    assert page.status_code == 200
    assert len(named) == 4
    assert "//" not in page.text.replace("<!--", "")
    for url in named:
        asset = await gateway.http.get(httpx.URL("http://gateway/docs").join(url))
        assert asset.status_code == 200, url
        assert asset.content


async def test_every_request_is_documented(document: Any) -> None:
    """All of them, and none that the contract does not have."""
    found = {
        (method, path) for path, operations in document["paths"].items() for method in operations
    }

    assert document["openapi"].startswith("3.1")
    assert found == OPERATIONS


async def test_every_answer_has_an_example_of_its_own_status(document: Any) -> None:
    """Examples are made by the code that makes the answers; here each is at its place."""
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert "500" in operation["responses"]
            for status, answer in operation["responses"].items():
                assert answer["description"]
                for media_type, content in answer.get("content", {}).items():
                    assert content["examples"], (operation["operationId"], status, media_type)
                    if media_type == "application/problem+json":
                        assert content["examples"]["problem"]["value"]["status"] == int(status)


async def test_every_reference_leads_somewhere(document: Any) -> None:
    """Schemas are named in many places and stand in one."""
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(document)))

    assert references
    assert references <= document["components"]["schemas"].keys()


async def test_headers_of_the_contract_are_documented(document: Any) -> None:
    """A client's author finds them all in `/docs`."""
    submit = document["paths"]["/api/v1/equipment/cpe/{id}"]["post"]
    result = document["paths"]["/api/v1/equipment/cpe/{id}/task/{taskId}"]["get"]

    sent = {parameter["name"] for parameter in submit["parameters"] if parameter["in"] == "header"}
    assert sent == {"Idempotency-Key", "Prefer", "traceparent"}
    assert submit["responses"]["202"]["headers"].keys() == {"Location", "Preference-Applied"}
    assert "Retry-After" in submit["responses"]["429"]["headers"]
    assert "Retry-After" in submit["responses"]["503"]["headers"]
    assert "Retry-After" in result["responses"]["204"]["headers"]


async def test_parameters_are_documented_as_they_are_checked(document: Any) -> None:
    """Bounds and patterns stand in the document, not only in the code."""
    submit = document["paths"]["/api/v1/equipment/cpe/{id}"]["post"]
    body = submit["requestBody"]["content"]["application/json"]["schema"]
    query = {
        parameter["name"]: parameter["schema"]
        for parameter in document["paths"]["/api/v1/tasks"]["get"]["parameters"]
    }

    assert submit["parameters"][0]["schema"]["pattern"] == "^[a-zA-Z0-9]{6,128}$"
    assert (
        body["properties"]["timeoutInSeconds"].items()
        >= {"type": "integer", "minimum": 1, "maximum": 900, "default": 60}.items()
    )
    assert body["additionalProperties"] is False
    assert query.keys() == {
        "state",
        "equipment",
        "acceptedFrom",
        "acceptedBefore",
        "deadLetter",
        "cursor",
        "limit",
    }
    assert (query["limit"]["minimum"], query["limit"]["maximum"]) == (1, 500)
