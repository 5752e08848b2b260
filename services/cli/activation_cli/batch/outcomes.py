"""The result file of a batch: what became of each row. It is what makes a batch resumable."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from activation.domain.task import ENDED
from activation_cli.exits import CommandError, Exit

ACCEPTED: Final = "accepted"  # the task is durable; its end is not known yet
REJECTED: Final = "rejected"  # the row is bad: there is no task
MISSING: Final = "missing"  # the gateway no longer has the task: its end will not be known


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; its fields are the columns of the result file.

    Attributes:
        line: Where the row begins in the file, from 1.
        key: The idempotency key that the row was sent with.
        state: `accepted`, `rejected`, `missing`, or the state that the task ended in.
    """

    line: int
    id: str
    key: str
    task_id: str
    state: str
    reason: str = ""
    detail: str = ""

    def document(self) -> dict[str, Any]:
        """Return the outcome with the gateway's spelling of names."""
        return dict(zip(_COLUMNS, asdict(self).values(), strict=True))


_COLUMNS: Final = ["taskId" if field.name == "task_id" else field.name for field in fields(Outcome)]


class ResultFile:
    """A CSV file with one line for each row.

    While the batch runs, outcomes are appended as they come, so that a kill loses none; on
    opening and closing the file is tidied up: the last outcome of each row, in the rows' order.

    Args:
        path: Where it is, or will be.

    Raises:
        CommandError: It cannot be read or written, or is no result file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._outcomes = {outcome.key: outcome for outcome in _read(path)}

    def __enter__(self) -> Self:
        self._tidy()
        try:
            self._stream = self.path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise _unusable(self.path, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._tidy()

    def known(self, key: str) -> Outcome | None:
        """Return the outcome of the row with this key."""
        return self._outcomes.get(key)

    def has_ended(self, key: str) -> bool:
        """Tell whether the row with this key is done for good."""
        outcome = self.known(key)
        return outcome is not None and outcome.state in ENDED

    def keys(self) -> Iterable[str]:
        """Return the keys of all rows that have a task."""
        return [key for key, outcome in self._outcomes.items() if outcome.state != REJECTED]

    def record(self, outcome: Outcome) -> None:
        """Remember an outcome, past a kill of this process."""
        self._outcomes[outcome.key] = outcome
        try:
            csv.writer(self._stream).writerow(outcome.document().values())
            self._stream.flush()
        except OSError as error:
            raise _unusable(self.path, error) from error

    def _tidy(self) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            with fresh.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(_COLUMNS)
                for outcome in sorted(self._outcomes.values(), key=lambda known: known.line):
                    writer.writerow(outcome.document().values())
            fresh.replace(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from error


def _read(path: Path) -> list[Outcome]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream)
            if next(reader, _COLUMNS) != _COLUMNS:
                raise CommandError(
                    f"{path} is there and is no result file; name another one with --results",
                    Exit.USAGE,
                )
            # A line that was cut short by a kill is left out: its row will be asked for again,
            # with the same key.
            return [_outcome(cells) for cells in reader if len(cells) == len(_COLUMNS)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise _unusable(path, error) from error


def _outcome(cells: list[str]) -> Outcome:
    line, *texts = cells
    outcome = Outcome(int(line), *texts)
    if outcome.state != REJECTED:
        UUID(outcome.task_id)  # an edited file must not come up later, as a crash
    return outcome


def _unusable(path: Path, error: Exception) -> CommandError:
    reason = getattr(error, "strerror", None) or error
    return CommandError(f"cannot use the result file {path}: {reason}", Exit.USAGE)
