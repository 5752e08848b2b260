"""`batch`: many activations from a CSV file."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from activation.domain.task import State
from activation_cli.batch.outcomes import ACCEPTED, MISSING, REJECTED, Outcome, ResultFile
from activation_cli.batch.rows import Row, read_rows
from activation_cli.batch.runner import Batch
from activation_cli.exits import CommandError, Exit
from activation_cli.options import For, Json
from activation_cli.session import Session, run

app = typer.Typer()

_UNSENT = "unsent"  # of rows that nothing is known of: the gateway was away, or the time over


@app.command()
def batch(
    ctx: typer.Context,
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Its first line names the columns: id, perhaps timeout, and parameters.",
        ),
    ],
    results: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The result file; FILE.results.csv if not given."),
    ] = None,
    key_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column with a key of each row's own. Without it rows are recognised by the "
            "file's content and their line.",
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=100, help="Requests at once.")] = 16,
    wait: Annotated[bool, typer.Option(help="Stay until every task has ended.")] = True,
    limit_s: For = None,
    as_json: Json = False,
) -> None:
    """Ask for many activations, one a row of a CSV file.

    A batch can be interrupted, and the same command given again: rows that have a task never get
    a second one, and rows whose task has ended are left alone. A bad row is reported with its
    line, and the others go on.
    """

    async def work(session: Session) -> Exit:
        rows = read_rows(file, key_column)
        with ResultFile(results or file.with_suffix(".results.csv")) as known:
            _refuse_other_content(rows, known, file)
            session.advice = "give the same command again to go on: what is done stays done"
            try:
                with suppress(TimeoutError):  # what has not ended is counted below
                    async with asyncio.timeout(limit_s):
                        await _do(session, rows, known, concurrency, to_end=wait)
            finally:
                counts = _count(rows, known)
                session.output.summary(counts, str(known.path))
        return _exit_for(counts, to_end=wait)

    run(ctx, work, as_json=as_json)


async def _do(
    session: Session,
    rows: Sequence[Row | Outcome],
    known: ResultFile,
    concurrency: int,
    *,
    to_end: bool,
) -> None:
    todo = [row for row in rows if not known.has_ended(row.key)]
    with session.output.batch(len(todo), to_end=to_end) as show:
        runner = Batch(
            session.gateway,
            known,
            patience=session.patience,
            show=show,
            concurrency=concurrency,
        )
        await runner.run(todo, to_end=to_end)


def _refuse_other_content(rows: Sequence[Row | Outcome], known: ResultFile, file: Path) -> None:
    """Stop before rows of a changed file become second tasks.

    Raises:
        CommandError: The result file tells of rows that the file does not have.
    """
    strangers = set(known.keys()) - {row.key for row in rows}
    if strangers:
        raise CommandError(
            f"{known.path} tells of {len(strangers)} rows that {file} does not have: was it "
            "edited? Put new rows into a file of their own, or name another file with --results",
            Exit.USAGE,
        )


def _count(rows: Sequence[Row | Outcome], known: ResultFile) -> dict[str, int]:
    outcomes = [known.known(row.key) for row in rows]
    return dict(Counter(_UNSENT if found is None else found.state for found in outcomes))


def _exit_for(counts: dict[str, int], *, to_end: bool) -> Exit:
    if _UNSENT in counts or (to_end and ACCEPTED in counts):
        return Exit.STILL_RUNNING
    if REJECTED in counts:
        return Exit.USAGE
    if counts.keys() & {State.FAILED, State.CANCELLED, MISSING}:
        return Exit.FAILED
    return Exit.DONE
