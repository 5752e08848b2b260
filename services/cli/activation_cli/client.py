"""The gateway's API: a deadline on every call, and a named error for every way it can go wrong."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, cast

import httpx

from activation.domain.task import is_serial_number
from activation_cli.documents import Acceptance, Page, Status, Target, Task
from activation_cli.exits import CommandError, Exit, UnavailableError
from activation_cli.task_filter import TaskFilter

_LARGEST_PAGE: Final = 500

_KEY: Final = re.compile("[!-~]{1,255}")  # others do not pass through a header
_CREDENTIALS: Final = re.compile("[!-~]{1,16384}")  # a token is longer than a key
_CHALLENGE: Final = 'Bearer realm="activation"'  # a proxy that wants a password has another
_CODES: Final = {
    HTTPStatus.BAD_REQUEST: Exit.USAGE,
    HTTPStatus.NOT_FOUND: Exit.NOT_FOUND,
    HTTPStatus.CONFLICT: Exit.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Exit.USAGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Exit.USAGE,
    HTTPStatus.UNPROCESSABLE_ENTITY: Exit.USAGE,
}


class Gateway:
    """One gateway.

    Every method may raise `UnavailableError`; trying again is safe, also for `submit`, as its key
    makes the gateway recognise the repeat.

    Attributes:
        url: Where it is, fit to be shown: without a password.
    """

    def __init__(self, http: httpx.AsyncClient, *, url: str, timeout_s: float) -> None:
        self._http = http
        self._timeout_s = timeout_s
        self.url = url

    async def submit(
        self, equipment: str, *, parameters: Mapping[str, Any], timeout_s: int | None, key: str
    ) -> Acceptance:
        """Ask for the activation of a device.

        Args:
            equipment: The device's serial number.
            parameters: For the handler; they may hold secrets.
            timeout_s: How long one attempt may take; None for the gateway's default.
            key: Requests with the same key are the same request.

        Raises:
            CommandError: The request is refused.
        """
        if not is_serial_number(equipment):  # nor can anything else become a part of the path
            raise CommandError(
                f"{equipment!r} is no serial number: those have 6 or more letters and digits",
                Exit.USAGE,
            )
        if not _KEY.fullmatch(key):
            raise CommandError(
                "an idempotency key must be 1 to 255 visible ASCII characters", Exit.USAGE
            )
        body: dict[str, Any] = {"parameters": dict(parameters)}
        if timeout_s is not None:
            body["timeoutInSeconds"] = timeout_s
        answer = await self._call(
            "POST",
            f"/api/v1/equipment/cpe/{equipment}",
            members=("taskId",),
            content=json.dumps(body),  # ASCII: UTF-8 cannot hold every JSON string
            headers={"Content-Type": "application/json", "Idempotency-Key": key},
        )
        return cast("Acceptance", answer)

    async def wait(self, task_id: str, equipment: str, wait_s: int) -> Task:
        """Return a task once it has ended, or as it is after so many seconds."""
        answer = await self._call(
            "GET",
            f"/api/v1/equipment/cpe/{equipment}/task/{task_id}",
            members=("taskId", "state"),
            headers={"Prefer": f"wait={wait_s}, return=representation"},
            wait_s=wait_s,
        )
        return cast("Task", answer)

    async def task(self, task_id: str) -> Task:
        """Return a task with its events and attempts."""
        return cast("Task", await self._task("GET", task_id))

    async def cancel(self, task_id: str) -> Task:
        """Cancel a queued task; ask a running one to make no further attempt."""
        return cast("Task", await self._task("POST", task_id, ":cancel"))

    async def retry(self, task_id: str) -> Task:
        """Queue a failed task again, with all its attempts."""
        return cast("Task", await self._task("POST", task_id, ":retry"))

    async def tasks(
        self, which: TaskFilter, *, limit: int | None = None, cursor: str | None = None
    ) -> Page:
        """Return tasks, newest first, of as many pages as it takes.

        Args:
            which: What they must have in common.
            limit: At most so many; None for all there are.
            cursor: Goes on where the answer before ended.
        """
        found: list[Task] = []
        while True:
            room = _LARGEST_PAGE if limit is None else min(_LARGEST_PAGE, limit - len(found))
            query = {**which.query(), "limit": str(room)}
            if cursor is not None:
                query["cursor"] = cursor
            page = await self._call("GET", "/api/v1/tasks", members=("tasks",), params=query)
            found += page["tasks"]
            cursor = page.get("cursor")
            if cursor is None or len(found) == limit:
                return {"tasks": found, "cursor": cursor}

    async def status(self) -> Status:
        """Return the system at a glance."""
        answer = await self._call("GET", "/api/v1/status", members=("counts", "outbox", "queue"))
        return cast("Status", answer)

    async def target(self) -> Target:
        """Return whether the provisioning system is called."""
        return await self._target("GET")

    async def pause_target(self) -> Target:
        """Keep new calls of it back."""
        return await self._target("POST", ":pause")

    async def resume_target(self) -> Target:
        """Let calls pass, whatever held them back."""
        return await self._target("POST", ":resume")

    async def limit_target(self, max_calls: int | None) -> Target:
        """Allow so many calls of it at once; None: as many as it bears."""
        return await self._target("POST", ":limit", json={"maxCalls": max_calls})

    async def _target(self, method: str, action: str = "", **request: Any) -> Target:
        path = f"/api/v1/target{action}"
        answer = await self._call(method, path, members=("state", "heldUntil"), **request)
        return cast("Target", answer)

    async def _task(self, method: str, task_id: str, action: str = "") -> dict[str, Any]:
        return await self._call(
            method, f"/api/v1/tasks/{task_id}{action}", members=("taskId", "state")
        )

    async def _call(
        self,
        method: str,
        path: str,
        *,
        members: tuple[str, ...],
        wait_s: int = 0,
        **request: Any,
    ) -> dict[str, Any]:
        """Make a call and return the document that it is answered with.

        The document must have the members: without them it is not the gateway that answers. What
        the gateway was asked to wait for (`wait_s`) comes on top of the usual deadline.
        """
        deadline_s = wait_s + self._timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                answer = await self._http.request(method, path, **request)
        except TimeoutError as error:
            raise UnavailableError(
                f"no answer from the gateway at {self.url} within {deadline_s:g} s; "
                "look at its logs, or allow more with --timeout-s"
            ) from error
        except httpx.RequestError as error:
            raise UnavailableError(
                f"cannot reach the gateway at {self.url} ({_cause(error)}); "
                "start one with `activation run`, or set --url or ACTIVATION_URL"
            ) from error
        document = _document(answer)
        if answer.is_success and document is not None and document.keys() >= set(members):
            return document
        raise self._failure(answer, document)

    def _failure(self, answer: httpx.Response, document: dict[str, Any] | None) -> CommandError:
        status = answer.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            said = _message(document) or answer.reason_phrase
            return UnavailableError(
                f"the gateway at {self.url} answers {status}: {said}", _retry_after_s(answer)
            )
        message = _message(document)
        if answer.headers.get("WWW-Authenticate", "").startswith(_CHALLENGE):
            return CommandError(f"{message} (--api-key or ACTIVATION_API_KEY)", Exit.DENIED)
        if message is None or status not in _CODES:
            return CommandError(
                f"what answers at {self.url} is not the gateway: it says {status} to "
                f"{answer.request.method} {answer.request.url.path}; set --url or ACTIVATION_URL",
                Exit.UNREACHABLE,
            )
        return CommandError(message, _CODES[HTTPStatus(status)])


@asynccontextmanager
async def connect(
    url: str,
    *,
    timeout_s: float,
    api_key: str | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Gateway]:
    """Provide the gateway at a URL; nothing is sent yet.

    Args:
        url: It may hold a path, say of an ingress, and a user and password.
        timeout_s: The deadline of each call.
        api_key: Or an access token; for a gateway that asks for one.
        transport: Replaces the network in tests.

    Raises:
        CommandError: The URL or the API key is none.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _bad_url() from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise _bad_url()
    shown = str(parsed.copy_with(userinfo=b"")).rstrip("/")
    no_limit = httpx.Timeout(None)  # of single reads and writes: `_call` limits the whole call
    headers = key_header(api_key)
    async with httpx.AsyncClient(
        base_url=parsed, timeout=no_limit, transport=transport, headers=headers
    ) as http:
        yield Gateway(http, url=shown, timeout_s=timeout_s)


def key_header(api_key: str | None) -> dict[str, str]:
    """Return the header that carries a key; `Authorization` may hold the user of the URL.

    Raises:
        CommandError: It cannot be a key.
    """
    if not api_key:
        return {}
    if not _CREDENTIALS.fullmatch(api_key):
        raise CommandError(
            "--api-key or ACTIVATION_API_KEY must be visible ASCII characters", Exit.USAGE
        )
    return {"X-API-Key": api_key}


def _bad_url() -> CommandError:
    return CommandError(
        "--url or ACTIVATION_URL must look like http://host:8000 or https://host/path", Exit.USAGE
    )


def _document(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _message(document: dict[str, Any] | None) -> str | None:
    """Return what an error says: problem details (RFC 9457) or the contract's own body."""
    if document is None:
        return None
    faults = document.get("errors")
    if isinstance(faults, list) and faults:
        return "; ".join(_fault(fault) for fault in faults if isinstance(fault, dict))
    if "title" in document:
        return str(document.get("detail") or document["title"])
    message = document.get("message")
    return None if message is None else str(message)


def _fault(fault: dict[str, Any]) -> str:
    where = fault.get("pointer") or fault.get("header") or fault.get("parameter")
    what = fault.get("detail", "refused")
    return f"{where}: {what}" if where else str(what)


def _retry_after_s(answer: httpx.Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _cause(error: BaseException) -> str:
    """Return the innermost reason: httpx says little more than that all attempts failed."""
    while error.__cause__ or error.__context__:
        error = cast("BaseException", error.__cause__ or error.__context__)
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio puts the address there, which stands before it
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
