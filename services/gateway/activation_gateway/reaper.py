"""The reaper: takes back the tasks of lost workers, and deletes what is older than its retention.

Every gateway runs one; they do not get in each other's way.
"""

import asyncio
import random
from collections.abc import Callable

from activation.domain.outcome import WORKER_LOST, Reason
from activation.domain.retry import RetryPolicy, Verdict
from activation.domain.task import ENDED
from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.telemetry.logging import get_logger
from activation.telemetry.metrics import count_end
from activation_gateway import metrics

_AT_ONCE = 500
_PURGE_EVERY_S = 60.0

log = get_logger()


class Reaper:
    """Takes back and tidies up.

    Args:
        store: Where the tasks live.
        policy: How many attempts a task may lose before it is a dead letter, and how long it rests
            after each.
        every_s: Pause between two looks at the leases.
        patience_s: How long the store must have answered, since the start and since its latest
            outage. Leases ran out meanwhile, and workers that live renew theirs first.
        retention_s: How long ended tasks are kept.
        draw: Random numbers in [0, 1) for the jitter of the rests.
    """

    def __init__(
        self,
        store: TaskStore,
        *,
        policy: RetryPolicy,
        every_s: float,
        patience_s: float,
        retention_s: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._policy = policy
        self._draw = draw
        self._every_s = every_s
        self._patience_s = patience_s
        self._retention_s = retention_s

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reap(), name="reaper leases")
            group.create_task(self._purge(), name="reaper retention")

    async def _reap(self) -> None:
        now = asyncio.get_running_loop().time
        patient_until = now() + self._patience_s
        while True:
            await asyncio.sleep(self._every_s)
            try:
                if now() <= patient_until:
                    await self._store.ping()
                    continue
                while await self._reap_some() == _AT_ONCE:
                    pass
            except StoreUnavailableError as error:
                patient_until = now() + self._patience_s
                log.warning("leases_unreadable", error=str(error))

    async def _reap_some(self) -> int:
        reaped = await self._store.reap(self._judge, _AT_ONCE)
        for lost in reaped:
            metrics.LEASES_REAPED.inc()
            if lost.state in ENDED:
                after_s = (self._store.now() - lost.accepted_at).total_seconds()
                count_end(lost.state, Reason.WORKER_LOST, dead_letter=True, after_s=after_s)
            log.warning(
                "lease_reaped",
                task_id=str(lost.task_id),
                equipment=lost.equipment,
                attempt=lost.attempt,
                worker=lost.worker,
                state=lost.state,
            )
        return len(reaped)

    def _judge(self, counted: int) -> Verdict:
        return self._policy.judge(WORKER_LOST, counted=counted, draw=self._draw())

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(_PURGE_EVERY_S)
            while await self._purge_some() == _AT_ONCE:
                pass

    async def _purge_some(self) -> int:
        try:
            purged = await self._store.purge(self._retention_s, _AT_ONCE)
        except StoreUnavailableError as error:
            log.warning("purge_failed", error=str(error))
            return 0
        if purged:
            log.info("tasks_purged", tasks=purged)
        return purged
