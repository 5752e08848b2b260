"""The observer: keeps the gauges of the store and the broker fresh for Prometheus."""

import asyncio

from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.telemetry.logging import get_logger
from activation_gateway import metrics
from activation_gateway.relay import Relay

_EVERY_S = 5.0

log = get_logger()


class Observer:
    """Counts what is in the store."""

    def __init__(self, store: TaskStore, relay: Relay) -> None:
        self._store = store
        self._relay = relay

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            metrics.BROKER_UP.set((await self._relay.queue_status()).connected)
            try:
                status = await self._store.status(ended=False)
            except StoreUnavailableError as error:
                log.warning("status_unknown", error=str(error))
            else:
                for state, count in status.counts.items():
                    metrics.TASKS.labels(state.value).set(count)
                metrics.DEAD_LETTERS_KEPT.set(status.dead_letters)
                metrics.UNPUBLISHED.set(status.unpublished)
                metrics.UNPUBLISHED_AGE.set(status.unpublished_age_s)
                metrics.OLDEST_QUEUED.set(status.oldest_queued_s)
            await asyncio.sleep(_EVERY_S)
