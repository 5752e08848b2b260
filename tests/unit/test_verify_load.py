"""The load of `activation verify`."""

import httpx

from activation_cli.verify.load import Load
from activation_cli.verify.schedule import Request

REQUEST = Request(at_s=0.0, equipment="ABC123", key="k-1", timeout_s=60, careful=False)


async def test_key_goes_to_the_gateways() -> None:
    """Beside the key by which a repeat is recognised."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"taskId": "1"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        load = Load(
            http, lambda: ["http://gateway"], lambda _: None, headers={"X-API-Key": "act_1"}
        )
        await load.run([REQUEST])

    [request] = seen
    assert request.headers["X-API-Key"] == "act_1"
    assert request.headers["Idempotency-Key"] == REQUEST.key
