"""The observer: keeps the gauges of the store fresh for Prometheus."""

import asyncio
import math

from activation.domain.target import Standing
from activation.domain.task import UNFINISHED
from activation.errors import StoreUnavailableError
from activation.ports import StoreStatus, TaskStore
from activation.telemetry.logging import get_logger
from activation_gateway import metrics

_EVERY_S = 5.0

log = get_logger()


class Observer:
    """Counts what is in the store."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        _forget()

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            try:
                _show(await self._store.status(ended=False), await self._standing())
            except StoreUnavailableError as error:
                _forget()
                log.warning("status_unknown", error=str(error))
            await asyncio.sleep(_EVERY_S)

    async def _standing(self) -> Standing:
        return (await self._store.target()).standing(self._store.now())


def _show(status: StoreStatus, standing: Standing) -> None:
    for state, count in status.counts.items():
        metrics.TASKS.labels(state.value).set(count)
    metrics.DEAD_LETTERS.set(status.dead_letters)
    metrics.UNPUBLISHED.set(status.unpublished)
    metrics.UNPUBLISHED_AGE.set(status.unpublished_age_s)
    metrics.OLDEST_QUEUED.set(status.oldest_queued_s)
    metrics.TARGET_HELD.set(standing is not Standing.CLOSED)


def _forget() -> None:
    """Show that nobody knows: a zero, or what was true before an outage, would look healthy."""
    for gauge in (
        *(metrics.TASKS.labels(state.value) for state in UNFINISHED),
        metrics.DEAD_LETTERS,
        metrics.UNPUBLISHED,
        metrics.UNPUBLISHED_AGE,
        metrics.OLDEST_QUEUED,
        metrics.TARGET_HELD,
    ):
        gauge.set(math.nan)
