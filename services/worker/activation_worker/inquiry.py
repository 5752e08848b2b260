"""Asking the handler what an earlier call came to, before it is called again.

::

    GET /api/v1/equipment/cpe/{equipment}/activations/{idempotency key}

    200 {"code": 200, "message": "…"}   the call has ended like this; success, or a refusal for
                                        good, is believed: no second call
    202                                 it is under way: asked again until the attempt's time is up
    404                                 nothing is known of the key, or nothing came of it: call
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from activation.domain.outcome import (
    ASKED,
    REASONS,
    UNCERTAIN,
    Meaning,
    Outcome,
    Reason,
    reason_for_status,
)
from activation.domain.task import Claim
from activation_worker.reply import Reply, phrase
from activation_worker.transport import NoReplyError

_QUESTION_S: Final = 10.0  # for one question
_ASK_AGAIN_S: Final = 2.0


def is_uncertain(claim: Claim) -> bool:
    """Tell whether an earlier attempt may have acted without anybody knowing.

    What went before an operator's replay is forgotten, so after it anything may have happened.
    """
    return claim.attempt > 1 and (claim.previous is None or claim.previous in UNCERTAIN)


async def ask(
    look: Callable[[], Awaitable[Reply]], claim: Claim, *, until_s: float
) -> Outcome | None:
    """Ask what became of the task's earlier calls.

    A handler that cannot be asked is not called either: it would hardly answer the call, and
    whoever wants it asked does not trust it with a second one. The outcome stays unknown, so the
    next attempt asks again.

    Args:
        look: Sends the question.
        claim: The attempt that would call.
        until_s: When its time is up, by the event loop's clock.

    Returns:
        How the attempt ends without a call; None: call.
    """
    while True:
        try:
            async with asyncio.timeout(_QUESTION_S):
                reply = await look()
        except TimeoutError:
            return _untold(f"no answer within {_QUESTION_S:g} s")
        except NoReplyError as error:
            return _untold(f"the {error}")
        match reply.status:
            case HTTPStatus.OK:
                return _told(reply, claim)
            case HTTPStatus.NOT_FOUND:
                return None
            case HTTPStatus.ACCEPTED:
                if asyncio.get_running_loop().time() + _ASK_AGAIN_S >= until_s:
                    return Outcome(
                        Reason.NO_ANSWER, f"{ASKED}, and was still at work when the time was up"
                    )
                await asyncio.sleep(_ASK_AGAIN_S)
            case _:
                return _untold(phrase(reply.status), reply.retry_after_s)


def _told(reply: Reply, claim: Claim) -> Outcome | None:
    answer = reply.members or {}
    code, said = answer.get("code"), answer.get("message")
    if not isinstance(code, int) or (reason := reason_for_status(code)) is Reason.UNREADABLE:
        return _untold("the answer 200 names no status code")
    # An operator's replay wants another try, whatever was refused before.
    final = REASONS[reason] is Meaning.PERMANENT and claim.previous is not None
    if not final and reason is not Reason.COMPLETED:
        return None
    words = said if isinstance(said, str) else phrase(code)
    return Outcome(reason, f"{ASKED}, and had finished: {words}")


def _untold(why: str, retry_after_s: float | None = None) -> Outcome:
    return Outcome(
        Reason.NO_ANSWER,
        f"{ASKED} what the attempt before came to, and did not tell ({why}); it was not called",
        retry_after_s,
    )
