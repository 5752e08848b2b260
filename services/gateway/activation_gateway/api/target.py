"""For operators: whether the provisioning system is called, and a say in it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from activation.domain.target import Standing, Target
from activation.ports import TaskStore
from activation_gateway.api.answer import NOT_STORED, answer, body
from activation_gateway.api.audit import audited
from activation_gateway.api.body import pointer, read_json
from activation_gateway.api.problems import Fault, invalid

LARGEST_LIMIT: Final = 1_000_000


@body
@dataclass(frozen=True, slots=True)
class TargetStatus:
    """Whether the provisioning system is called, by all workers together."""

    state: Annotated[
        Standing,
        Field(
            description="closed: it is called; open: not before `heldUntil`; half_open: one call "
            "at a time tries it; paused: not until an operator resumes."
        ),
    ]
    why: Annotated[str | None, Field(description="What made it be held back.")]
    held_until: datetime | None
    openings: Annotated[int, Field(description="How often in a row the breaker has opened.")]
    prober: Annotated[str | None, Field(description="The worker whose call tries it.")]
    paused_at: datetime | None
    under_way: Annotated[int, Field(description="Calls at this moment.")]
    limit: Annotated[
        int | None, Field(description="How many there may be at once; null: any number.")
    ]
    max_calls: Annotated[int | None, Field(description="How many an operator allows at once.")]
    overloaded_at: Annotated[
        datetime | None,
        Field(description="When it last had too many, as long as that lowers `limit`."),
    ]


def show(target: Target, now: datetime, under_way: int) -> TargetStatus:
    """Show the target as it stands; what is over is left out."""
    limit = target.limit(now)
    held = target.held_until is not None and target.held_until > now
    probed = target.probe_until is not None and target.probe_until > now
    return TargetStatus(
        state=target.standing(now),
        why=target.why if held or target.trips else None,
        held_until=target.held_until if held else None,
        openings=target.trips,
        prober=target.prober if probed else None,
        paused_at=target.paused_at,
        under_way=under_way,
        limit=limit,
        max_calls=target.max_calls,
        overloaded_at=target.overload_at if limit != target.max_calls else None,
    )


def read_limit(body: Any) -> int | None:
    """Check a body that says how many calls there may be at once; None: as many as it bears.

    Raises:
        ProblemError: 422.
    """
    if not isinstance(body, dict):
        raise invalid([Fault("must be an object", pointer=pointer(()))])
    unknown = [name for name in body if name != "maxCalls"]
    if unknown:
        raise invalid(Fault("is not known", pointer=pointer((name,))) for name in unknown)
    value = body.get("maxCalls", 0)
    if value is None:
        return None
    is_integer = type(value) is int or (type(value) is float and value.is_integer())
    if is_integer and 1 <= value <= LARGEST_LIMIT:
        return int(value)
    detail = f"must be null, or an integer from 1 to {LARGEST_LIMIT}"
    raise invalid([Fault(detail, pointer="/maxCalls")])


class TargetApi:
    """Answers what operators ask about the target, and obeys them.

    Args:
        store: Where all workers keep what they know about it.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def show(self, _: Request) -> Response:
        """Show whether the target is called."""
        return await self._answer(await self._store.target())

    async def pause(self, request: Request) -> Response:
        """Keep all new calls back; those under way end by themselves."""
        now = self._store.now()
        with audited(request, "pause_target"):
            return await self._change(lambda target: target.pause(now))

    async def resume(self, request: Request) -> Response:
        """Let calls pass at once, whatever held them back."""
        with audited(request, "resume_target"):
            return await self._change(Target.resume)

    async def limit(self, request: Request) -> Response:
        """Allow so many calls at once, or as many as the target bears."""
        max_calls = read_limit(await read_json(request))
        with audited(request, "limit_target", max_calls=max_calls):
            return await self._change(lambda target: target.bound(max_calls))

    async def _change(self, change: Callable[[Target], Target]) -> Response:
        return await self._answer(await self._store.change_target(change))

    async def _answer(self, target: Target) -> Response:
        status = show(target, self._store.now(), await self._store.running())
        return answer(status, headers=NOT_STORED)
