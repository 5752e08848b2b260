"""One attempt under way: its claim, the calls that hold it, and how it can be called off."""

import asyncio
from dataclasses import dataclass, field

from activation.broker import Delivery
from activation.domain.outcome import Outcome, Reason
from activation.domain.task import Claim
from activation_worker import metrics
from activation_worker.handler import Handler


class LeaseLostError(Exception):
    """Somebody else may be working on the task by now; this attempt's result is worth nothing."""


@dataclass(slots=True)
class Run:
    """An attempt of this worker.

    Attributes:
        claim: What is being carried out.
        deliveries: Messages of this task, acknowledged together once the result is stored. A
            second one comes when the broker redelivers while the call goes on.
    """

    claim: Claim
    deliveries: list[Delivery]
    _calling: "asyncio.Task[Outcome] | None" = None
    _called_off: BaseException | Outcome | None = field(default=None)

    async def call(self, handler: Handler) -> Outcome:
        """Call the handler.

        Raises:
            LeaseLostError: The lease was lost meanwhile.
        """
        if self._called_off is None:
            self._calling = asyncio.ensure_future(handler.activate(self.claim))
            try:
                with metrics.IN_FLIGHT.track_inprogress(), metrics.ATTEMPT_DURATION.time():
                    return await self._calling
            except asyncio.CancelledError:
                self._calling.cancel()
                if self._called_off is None:
                    raise
        if isinstance(self._called_off, Outcome):
            return self._called_off
        raise LeaseLostError

    def lose_lease(self) -> None:
        """End the call: its result would be fenced off."""
        self._call_off(LeaseLostError())

    def hand_back(self) -> None:
        """End the call: the worker stops, and the attempt shall not count."""
        self._call_off(Outcome(Reason.DRAINED, "The worker was stopped before the answer came"))

    def _call_off(self, why: BaseException | Outcome) -> None:
        if self._called_off is None:
            self._called_off = why
            if self._calling is not None:
                self._calling.cancel()
