"""A store that keeps parameters encrypted: they are plain in front of it, and nowhere behind."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from activation.domain.outcome import Outcome, Reason
from activation.domain.retry import Verdict
from activation.domain.task import Claim, IdempotencyKey, NewTask, State, Task, TaskId
from activation.encryption import Cipher, LockedError
from activation.errors import KeyConflictError, StoreUnavailableError
from activation.ports import Accepted, Cancellation, NotAccepted, Page, Refused, Result, TaskQuery
from activation.store.sql.store import SqlStore
from activation.telemetry.logging import get_logger

_REST_S: Final = 30.0  # until a task whose key is missing is looked at again

log = get_logger()


class EncryptedStore(SqlStore):
    """A `SqlStore` whose rows hold no parameters that can be read without a key.

    A task whose key is missing waits: it is handed back without an attempt spent, time and again.

    Args:
        cipher: Encrypts.
        database: See `SqlStore`, as all others.
    """

    def __init__(self, cipher: Cipher, *database: Any, **others: Any) -> None:
        super().__init__(*database, **others)
        self._cipher = cipher

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0, share: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        """Store new tasks; see `TaskStore.accept`."""
        sealed = [self._sealed(task) for task in tasks]
        answers = await super().accept(sealed, max_waiting=max_waiting, share=share)
        return [
            await self._known_before(task, answer)
            if isinstance(answer, KeyConflictError)
            else answer
            for task, answer in zip(tasks, answers, strict=True)
        ]

    async def find_repeat(self, key: IdempotencyKey) -> Accepted | None:
        """Answer a request whose key is known; see `TaskStore.find_repeat`."""
        *newer, oldest = self._cipher.fingerprints(key.fingerprint)
        for form in newer:
            with suppress(KeyConflictError):
                return await super().find_repeat(replace(key, fingerprint=form))
        return await super().find_repeat(replace(key, fingerprint=oldest))

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float, *, limited: bool = False
    ) -> Sequence[Claim | Refused]:
        """Begin attempts; see `TaskStore.claim`."""
        claims = await super().claim(task_ids, worker, lease_s, limited=limited)
        if any(isinstance(claim, Claim) and self._fault_of(claim) for claim in claims):
            await self._cipher.look()  # the key may be newer than our last look
        locked = [
            (claim, fault)
            for claim in claims
            if isinstance(claim, Claim) and (fault := self._fault_of(claim))
        ]
        if locked:
            await self._hand_back(locked)
        kept_back = {claim.task_id for claim, _ in locked}
        return [
            Refused(claim.task_id, State.QUEUED)
            if claim.task_id in kept_back
            else self._opened(claim)
            if isinstance(claim, Claim)
            else claim
            for claim in claims
        ]

    async def get(self, task_id: TaskId) -> Task | None:
        """Return a task; see `TaskStore.get`."""
        task = await super().get(task_id)
        return None if task is None else self._shown(task)

    async def search(self, query: TaskQuery) -> Page:
        """List tasks; see `TaskStore.search`."""
        page = await super().search(query)
        return replace(page, tasks=[self._shown(task) for task in page.tasks])

    async def cancel(self, task_id: TaskId) -> Cancellation | None:
        """Cancel a task; see `TaskStore.cancel`."""
        done = await super().cancel(task_id)
        return None if done is None else replace(done, task=self._shown(done.task))

    async def replay(self, task_id: TaskId, traceparent: str | None = None) -> Task | None:
        """Queue a failed task again; see `TaskStore.replay`."""
        task = await super().replay(task_id, traceparent)
        return None if task is None else self._shown(task)

    def _sealed(self, new: NewTask) -> NewTask:
        sealed = replace(new, parameters=self._cipher.encrypt(new.id, new.parameters))
        if new.idempotency is None:
            return sealed
        newest = self._cipher.fingerprints(new.idempotency.fingerprint)[0]
        return replace(sealed, idempotency=replace(new.idempotency, fingerprint=newest))

    async def _known_before(
        self, new: NewTask, conflict: KeyConflictError
    ) -> Accepted | KeyConflictError:
        """Look whether the same request was stored under an older key, or before there was one."""
        if new.idempotency is None:
            return conflict
        try:
            return await self.find_repeat(new.idempotency) or conflict
        except KeyConflictError as error:
            return error

    def _fault_of(self, claim: Claim) -> str | None:
        try:
            self._opened(claim)
        except LockedError as error:
            return str(error)
        return None

    def _opened(self, claim: Claim) -> Claim:
        return replace(claim, parameters=self._cipher.decrypt(claim.task_id, claim.parameters))

    def _shown(self, task: Task) -> Task:
        """Decrypt for readers, who see all else of a task whose key is missing."""
        try:
            return replace(task, parameters=self._cipher.decrypt(task.id, task.parameters))
        except LockedError as error:
            return replace(task, parameters=json.dumps({"locked": str(error)}))

    async def _hand_back(self, locked: Iterable[tuple[Claim, str]]) -> None:
        verdict = Verdict(State.QUEUED, retry_in_s=_REST_S, counted=False)
        results = []
        for claim, fault in locked:
            log.error("parameters_locked", task_id=str(claim.task_id), fault=fault)
            results.append(Result(claim, Outcome(Reason.LOCKED, fault), verdict))
        try:
            await self.finish(results)
        except StoreUnavailableError as error:  # then the leases run out
            log.warning("hand_back_failed", tasks=len(results), error=str(error))
