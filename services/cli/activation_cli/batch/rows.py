"""Reading the CSV file of a batch: one request a row."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from activation_cli.batch.outcomes import REJECTED, Outcome
from activation_cli.exits import CommandError, Exit
from activation_cli.parameters import read_value

if TYPE_CHECKING:
    import _csv

_ID: Final = "id"
_TIMEOUT: Final = "timeout"


@dataclass(frozen=True, slots=True)
class Row:
    """A request.

    Attributes:
        line: Where the row begins in the file, from 1.
        timeout_s: How long one attempt may take; None for the gateway's default.
        key: The idempotency key: the same file gives the same row the same key.
    """

    line: int
    equipment: str
    timeout_s: int | None
    parameters: dict[str, Any]
    key: str

    def outcome(
        self, state: str, *, task_id: str = "", reason: str = "", detail: str = ""
    ) -> Outcome:
        """Return what became of this row."""
        return Outcome(self.line, self.equipment, self.key, task_id, state, reason, detail)


def read_rows(path: Path, key_column: str | None) -> list[Row | Outcome]:
    """Read a CSV file; a row that cannot be sent is given as its outcome.

    The first line names the columns: `id`, perhaps `timeout`, and parameters. An empty cell means
    that the row has no such parameter.

    Args:
        path: The file.
        key_column: The column with each row's idempotency key. Without it the keys are made of
            the file's content and the line number.

    Raises:
        CommandError: The file as a whole cannot be used.
    """
    content = _read(path)
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, path, key_column)
        digest = hashlib.sha256(content.encode()).hexdigest()[:32]
        sheet = _Sheet(header, key_column, digest)
        return [sheet.row(line, cells) for line, cells in _records(reader)]
    except csv.Error as error:
        raise CommandError(f"{path} line {reader.line_num}: {error}", Exit.USAGE) from error


class _Sheet:
    """What the rows of a file have in common."""

    def __init__(self, header: list[str], key_column: str | None, digest: str) -> None:
        self._header = header
        self._key_column = key_column
        self._digest = digest
        self._line_of: dict[str, int] = {}

    def row(self, line: int, cells: list[str]) -> Row | Outcome:
        named = dict(zip(self._header, cells, strict=False))
        equipment = named.pop(_ID, "").strip()
        timeout = named.pop(_TIMEOUT, "").strip()
        own_key = f"batch-{self._digest}-{line}"
        key = named.pop(self._key_column, "").strip() if self._key_column else own_key

        problem = None
        if len(cells) != len(self._header):
            problem = f"{len(cells)} cells where the first line names {len(self._header)} columns"
        elif not equipment:
            problem = "the id is empty"
        elif timeout and not (timeout.isascii() and timeout.isdigit()):
            problem = "the timeout is no whole number of seconds"
        elif not key:
            problem = "the key is empty"
        elif self._line_of.setdefault(key, line) != line:
            problem = f"the key is that of line {self._line_of[key]}"
        if problem is not None:
            return Outcome(line, equipment, own_key, "", REJECTED, detail=problem)

        parameters = {name: read_value(cell) for name, cell in named.items() if cell}
        return Row(line, equipment, int(timeout) if timeout else None, parameters, key)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # with the ends of lines as they are
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", Exit.USAGE) from error
    except UnicodeDecodeError as error:
        raise CommandError(
            f"cannot read {path}: byte {error.start + 1} is not UTF-8; save it as UTF-8", Exit.USAGE
        ) from error


def _check_header(header: list[str], path: Path, key_column: str | None) -> None:
    problem = None
    if _ID not in header:
        problem = f"no column {_ID!r}; the first line must name the columns, with commas between"
    elif "" in header or len(set(header)) < len(header):
        problem = "each column needs a name of its own"
    elif key_column is not None and key_column not in header:
        problem = f"no column {key_column!r}, which --key-column names"
    if problem is not None:
        raise CommandError(f"{path} line 1: {problem}", Exit.USAGE)


def _records(reader: "_csv.Reader") -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it begins on; a quoted cell may span several."""
    line = reader.line_num + 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1
