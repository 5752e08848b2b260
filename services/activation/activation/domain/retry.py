"""The retry rule: what becomes of a task after an attempt. The only place that decides it."""

from dataclasses import dataclass
from typing import assert_never

from activation.domain.outcome import REASONS, Meaning, Outcome, Reason
from activation.domain.task import State


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a task.

    Attributes:
        state: Where the task goes: succeeded, failed, or back to queued.
        retry_in_s: How long a queued task waits before it may run again.
        dead_letter: It failed because its attempts were used up.
        counted: Whether the attempt counts against the limit.
    """

    state: State
    retry_in_s: float = 0.0
    dead_letter: bool = False
    counted: bool = True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a task is tried again.

    With the defaults the waits are drawn from 0-2 s, 0-4 s, 0-8 s and 0-16 s ("full jitter": M.
    Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Attributes:
        max_attempts: Attempts that count before a task becomes a dead letter.
        base_s: Upper bound of the first wait.
        cap_s: Upper bound of every wait, also of one that the handler asks for.
        retry_provisioning_errors: Treat the handler's 500 as transient.
    """

    max_attempts: int = 5
    base_s: float = 2.0
    cap_s: float = 300.0
    retry_provisioning_errors: bool = False

    def meaning(self, reason: Reason) -> Meaning:
        """Say what a reason means under this policy."""
        if reason is Reason.PROVISIONING_ERROR and self.retry_provisioning_errors:
            return Meaning.TRANSIENT
        return REASONS[reason]

    def judge(self, outcome: Outcome, *, counted: int, draw: float, probe: bool = False) -> Verdict:
        """Decide what becomes of a task.

        Args:
            outcome: What the attempt ended with.
            counted: Attempts that count so far, this one included.
            draw: A random number in [0, 1) for the jitter.
            probe: The attempt tried out a target that was known to be down: its failure is not
                held against the task.
        """
        meaning = self.meaning(outcome.reason)
        match meaning:
            case Meaning.SUCCESS:
                return Verdict(State.SUCCEEDED)
            case Meaning.PERMANENT:
                return Verdict(State.FAILED)
            case Meaning.WITHDRAWN:
                return Verdict(State.QUEUED, counted=False)
            # A task whose worker was lost rests as well: what it has dragged down with it would
            # else begin together with it, be lost with it again, and be given up with it.
            case Meaning.TRANSIENT | Meaning.UNKNOWN:
                if counted >= self.max_attempts and not probe:
                    return Verdict(State.FAILED, dead_letter=True)
                wait_s = self._wait_s(outcome, counted, draw)
                return Verdict(State.QUEUED, retry_in_s=wait_s, counted=not probe)
            case _:
                assert_never(meaning)

    def _wait_s(self, outcome: Outcome, counted: int, draw: float) -> float:
        if outcome.retry_after_s is not None:
            return min(outcome.retry_after_s, self.cap_s)
        exponent = min(counted - 1, 32)  # beyond this the cap rules, and 2.0**n stays finite
        return draw * min(self.cap_s, self.base_s * 2.0**exponent)
