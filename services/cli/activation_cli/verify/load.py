"""The load: clients that send the requests of a schedule, and remember every POST."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import httpx

from activation_cli.side_by_side import together
from activation_cli.verify.accountant import REQUEST, Post
from activation_cli.verify.schedule import Request

_POST_S: Final = 10.0
_PAUSE_S: Final = 0.25
_PATIENCE_S: Final = 60.0  # of a careful client


class Load:
    """Sends requests when their time has come, whether or not earlier ones were answered.

    Args:
        http: Carries the requests.
        addresses: Returns the gateways that can be asked now.
        tell: Is told of every POST that is over.
        headers: Go with every request, and to nobody but the gateways.

    Attributes:
        posts: In the order in which they were answered; times are seconds on the loop's clock.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        addresses: Callable[[], Sequence[str]],
        tell: Callable[[Post], None],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = http
        self._addresses = addresses
        self._tell = tell
        self._headers = dict(headers or {})
        self._turn = 0
        self.posts: list[Post] = []

    async def run(self, requests: Sequence[Request]) -> None:
        """Send all requests, and return when the last client has its answer or has given up."""
        begun_at = asyncio.get_running_loop().time()
        await together(*(self._client(request, begun_at + request.at_s) for request in requests))

    async def _client(self, request: Request, at: float) -> None:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(at - now())
        give_up_at = now() + _PATIENCE_S
        post = await self._post(request)
        while request.careful and _may_be_asked_again(post) and now() < give_up_at:
            await asyncio.sleep(_PAUSE_S)
            post = await self._post(request)

    async def _post(self, request: Request) -> Post:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        status, task_id = None, None
        try:
            async with asyncio.timeout(_POST_S):
                answer = await self._http.post(
                    f"{self._address()}/api/v1/equipment/cpe/{request.equipment}",
                    json={
                        "timeoutInSeconds": request.timeout_s,
                        "parameters": {REQUEST: request.key},
                    },
                    headers=self._headers | {"Idempotency-Key": request.key},
                )
            status, task_id = answer.status_code, _task_id(answer)
        except (TimeoutError, httpx.TransportError):
            pass  # whether there is a task now is what the account will tell
        post = Post(request.equipment, request.key, sent_at, loop.time(), status, task_id)
        self.posts.append(post)
        self._tell(post)
        return post

    def _address(self) -> str:
        """Return the next gateway, as a load balancer does."""
        addresses = self._addresses()
        if not addresses:
            raise httpx.ConnectError("no gateway is running")
        self._turn += 1
        return addresses[self._turn % len(addresses)]


def _may_be_asked_again(post: Post) -> bool:
    return (
        post.status is None
        or post.status == HTTPStatus.TOO_MANY_REQUESTS
        or post.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _task_id(answer: httpx.Response) -> str | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get("taskId") if isinstance(document, dict) else None
