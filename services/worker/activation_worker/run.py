"""One attempt under way: its claim, the calls that hold it, and how it can be called off."""

import asyncio
from dataclasses import dataclass

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
        deliveries: Messages of this task, settled together once the result is stored. A second
            one comes when the broker redelivers while the call goes on.
    """

    claim: Claim
    deliveries: list[Delivery]
    _calling: "asyncio.Task[Outcome] | None" = None
    _called_off: LeaseLostError | Outcome | None = None

    async def call(self, handler: Handler) -> Outcome:
        """Call the handler.

        Raises:
            LeaseLostError: The lease was lost meanwhile.
        """
        if self._called_off is None:
            with metrics.calling():
                async with asyncio.TaskGroup() as group:  # outlives a call that is called off
                    self._calling = group.create_task(handler.activate(self.claim))
        if self._calling is not None and not self._calling.cancelled():
            return self._calling.result()
        if isinstance(self._called_off, Outcome):
            return self._called_off
        raise LeaseLostError

    async def settle(self, *, ended: bool) -> None:
        """Settle the messages, after the result is stored.

        Args:
            ended: The task needs no message any more. Otherwise any but the first may be for the
                next attempt, which can begin elsewhere before this worker knows the end of its own.
        """
        first, *others = self.deliveries
        await first.ack()
        for delivery in others:
            await (delivery.ack() if ended else delivery.requeue())

    def lose_lease(self) -> None:
        """End the call: its result would be fenced off."""
        self._call_off(LeaseLostError())

    def hand_back(self) -> None:
        """End the call: the worker stops, and the attempt shall not count."""
        self._call_off(Outcome(Reason.DRAINED, "The worker was stopped before the answer came"))

    def _call_off(self, why: LeaseLostError | Outcome) -> None:
        if self._called_off is None:
            self._called_off = why
            if self._calling is not None:
                self._calling.cancel()
