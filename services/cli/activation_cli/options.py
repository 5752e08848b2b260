"""Options and arguments that several commands share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer

_UNITS_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)", re.ASCII)


def duration_s(text: str) -> float:
    """Read a duration such as 90, 90s, 10m, 2h or 7d.

    Raises:
        typer.BadParameter: It is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 90s, 10m, 2h or 7d")
    return float(found[1]) * _UNITS_S[found[2]]


def moment(text: str) -> datetime:
    """Read a moment: a duration ago, or a time as RFC 3339 writes it.

    Raises:
        typer.BadParameter: It is neither.
    """
    return _moment(text, -1)


def expiry(text: str) -> datetime:
    """Read a moment to come: a duration from now, or a time as RFC 3339 writes it.

    Raises:
        typer.BadParameter: It is neither, or it is over.
    """
    when = _moment(text, +1).replace(microsecond=0)
    if when <= datetime.now(UTC):
        raise typer.BadParameter(f"{text!r} is over")
    return when


def _moment(text: str, direction: int) -> datetime:
    try:
        if _DURATION.fullmatch(text):
            return datetime.now(UTC) + direction * timedelta(seconds=duration_s(text))
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        when = None
    if when is None or when.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is neither a duration such as 2h nor a time such as 2025-01-31T09:00:00Z"
        )
    return when


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TaskId = Annotated[UUID, typer.Argument(metavar="TASK", help="The id of the task.")]
For = Annotated[
    float | None,
    typer.Option(
        "--for",
        metavar="DURATION",
        parser=duration_s,
        help="Wait no longer than this, say 10m; then leave with 5.",
    ),
]
Equipment = Annotated[
    str | None, typer.Option("--equipment", metavar="ID", help="Only those of this device.")
]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        parser=moment,
        help="Only those accepted from then on: 2h, or a time such as 2025-01-31T09:00:00Z.",
    ),
]
Before = Annotated[
    datetime | None,
    typer.Option("--before", metavar="WHEN", parser=moment, help="Only those accepted before."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]
