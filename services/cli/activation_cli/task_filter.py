"""Which tasks to list."""

from dataclasses import dataclass
from datetime import datetime

from activation.domain.task import State


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What the tasks must have in common.

    Attributes:
        accepted_from: Inclusive.
        accepted_before: Exclusive.
        dead_letter: Only dead letters, or only others; None for both.
    """

    states: tuple[State, ...] = ()
    equipment: str | None = None
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None
    dead_letter: bool | None = None

    def query(self) -> dict[str, str | list[str]]:
        """Return the query parameters that say the same."""
        query: dict[str, str | list[str]] = {}
        if self.states:
            query["state"] = [state.value for state in self.states]
        if self.equipment is not None:
            query["equipment"] = self.equipment
        if self.accepted_from is not None:
            query["acceptedFrom"] = self.accepted_from.isoformat()
        if self.accepted_before is not None:
            query["acceptedBefore"] = self.accepted_before.isoformat()
        if self.dead_letter is not None:
            query["deadLetter"] = str(self.dead_letter).lower()
        return query
