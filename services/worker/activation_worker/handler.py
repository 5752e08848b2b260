"""Calling the handler: one attempt, one answer, read with suspicion."""

import asyncio
from dataclasses import replace
from typing import Final, Protocol

from activation.domain.outcome import Outcome, Reason, reason_for_status
from activation.domain.task import Claim
from activation.telemetry.masking import Masker
from activation.telemetry.tracing import current_traceparent
from activation_worker.client_span import describe_reply, requesting
from activation_worker.inquiry import ask, is_uncertain
from activation_worker.reply import Reply, phrase
from activation_worker.transport import NoReplyError, Transport

_LONGEST_MESSAGE: Final = 500
_CLOSE_S: Final = 5.0
# A proxy's page is no answer of the handler's, except where the status alone says "not now".
_NEEDS_NO_BODY: Final = frozenset({Reason.OVERLOADED, Reason.UNAVAILABLE})


class Handler(Protocol):
    """The system that really provisions."""

    async def activate(self, claim: Claim) -> Outcome:
        """Make one attempt; every way it can end is an outcome, not an exception."""
        ...


class HttpHandler:
    """The handler behind its HTTP API.

    Args:
        url: Its base URL.
        transport: Carries the requests.
        grace_s: Added to the task's own timeout, so that work which uses all of it succeeds.
        masker: Removes secrets from what the handler says.
        asks: Ask what an earlier call came to before another one is made; see `inquiry`.
    """

    def __init__(
        self,
        url: str,
        transport: Transport,
        *,
        grace_s: float,
        masker: Masker,
        asks: bool = False,
    ) -> None:
        self._url = url.rstrip("/") + "/api/v1/equipment/cpe/"
        self._transport = transport
        self._grace_s = grace_s
        self._masker = masker
        self._asks = asks

    async def activate(self, claim: Claim) -> Outcome:
        """Make one attempt; see `Handler.activate`."""
        try:
            async with asyncio.timeout(claim.timeout_s + self._grace_s) as limit:
                outcome = await self._ask(claim, limit) or await self._call(claim)
        except TimeoutError:
            return Outcome(
                Reason.NO_ANSWER,
                f"No answer within {claim.timeout_s} s and a grace of {self._grace_s:g} s",
            )
        except NoReplyError as error:
            return Outcome(error.reason, f"The {error}")
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        async with asyncio.timeout(_CLOSE_S):
            await self._transport.close()

    async def _ask(self, claim: Claim, limit: asyncio.Timeout) -> Outcome | None:
        """Ask what an earlier call came to, if that is unknown; None: call."""
        if not (self._asks and is_uncertain(claim)):
            return None
        path = f"{claim.equipment}/activations/{claim.task_id}"

        async def look() -> Reply:
            return await self._send("GET", path, claim, {})

        told = await ask(look, claim, until_s=limit.when() or 0.0)
        return told and replace(told, message=self._clean(told.message, claim))

    async def _call(self, claim: Claim) -> Outcome:
        headers = {
            "content-type": "application/json",
            "idempotency-key": str(claim.task_id),
            "x-attempt": str(claim.attempt),
        }
        body = f'{{"timeoutInSeconds":{claim.timeout_s},"parameters":{claim.parameters}}}'
        reply = await self._send("POST", claim.equipment, claim, headers, body.encode())
        return self._outcome(reply, claim)

    async def _send(
        self,
        method: str,
        path: str,
        claim: Claim,
        headers: dict[str, str],
        body: bytes | None = None,
    ) -> Reply:
        url = self._url + path
        headers["accept"] = "application/json"
        with requesting(method, url):
            traceparent = current_traceparent() or claim.traceparent
            if traceparent:
                headers["traceparent"] = traceparent
            reply = await self._transport.send(method, url, headers, body)
            describe_reply(reply.status)
            return reply

    def _outcome(self, reply: Reply, claim: Claim) -> Outcome:
        status = reply.status
        reason = reason_for_status(status)
        answer = reply.members
        if reply.body is None:
            return Outcome(Reason.UNREADABLE, f"The answer {status} is larger than 1 MiB")
        if answer is None and reason not in _NEEDS_NO_BODY:
            return Outcome(Reason.UNREADABLE, f"The answer {status} is no JSON object")
        said = answer.get("message") if answer else None
        message = self._clean(said, claim) if isinstance(said, str) else phrase(status)
        return Outcome(reason, message, retry_after_s=reply.retry_after_s)

    def _clean(self, message: str, claim: Claim) -> str:
        text = self._masker.scrub(message, claim.parameters)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        return text[:_LONGEST_MESSAGE]
