"""For operators: whether the provisioning system is called, and a say in it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from activation.domain.target import Standing, Target
from activation.ports import TaskStore
from activation_gateway.api.answer import NOT_STORED, answer, body
from activation_gateway.api.audit import audited


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


def show(target: Target, now: datetime) -> TargetStatus:
    """Show the target as it stands; what is over is left out."""
    held = target.held_until is not None and target.held_until > now
    probed = target.probe_until is not None and target.probe_until > now
    return TargetStatus(
        state=target.standing(now),
        why=target.why if held or target.trips else None,
        held_until=target.held_until if held else None,
        openings=target.trips,
        prober=target.prober if probed else None,
        paused_at=target.paused_at,
    )


class TargetApi:
    """Answers what operators ask about the target, and obeys them.

    Args:
        store: Where all workers keep what they know about it.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store

    async def show(self, _: Request) -> Response:
        """Show whether the target is called."""
        return self._answer(await self._store.target())

    async def pause(self, request: Request) -> Response:
        """Keep all new calls back; those under way end by themselves."""
        now = self._store.now()
        with audited(request, "pause_target"):
            return await self._change(lambda target: target.pause(now))

    async def resume(self, request: Request) -> Response:
        """Let calls pass at once, whatever held them back."""
        with audited(request, "resume_target"):
            return await self._change(Target.resume)

    async def _change(self, change: Callable[[Target], Target]) -> Response:
        return self._answer(await self._store.change_target(change))

    def _answer(self, target: Target) -> Response:
        return answer(show(target, self._store.now()), headers=NOT_STORED)
