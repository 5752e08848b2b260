"""`dead-letters`: tasks that used up their attempts, and queueing them again."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from activation.domain.task import State
from activation_cli.documents import Task
from activation_cli.exits import CommandError, Exit
from activation_cli.options import All, Before, Equipment, Json, Limit, Since, TaskId
from activation_cli.output import Refusal
from activation_cli.session import Session, run
from activation_cli.side_by_side import for_each
from activation_cli.task_filter import TaskFilter

if TYPE_CHECKING:
    from activation_cli.client import Gateway

_AT_ONCE: Final = 8

app = typer.Typer(
    name="dead-letters",
    help="List, show and replay tasks that used up their attempts.",
    no_args_is_help=True,
)


@app.command("list")
def list_dead_letters(
    ctx: typer.Context,
    *,
    equipment: Equipment = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 50,
    everything: All = False,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first."""
    which = TaskFilter(
        equipment=equipment, accepted_from=since, accepted_before=before, dead_letter=True
    )

    async def work(session: Session) -> Exit:
        page = await session.gateway.tasks(which, limit=None if everything else limit)
        session.output.tasks(page["tasks"], page["cursor"])
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command()
def show(ctx: typer.Context, *, task_id: TaskId, as_json: Json = False) -> None:
    """Show the story of a dead letter."""

    async def work(session: Session) -> Exit:
        task = await session.gateway.task(str(task_id))
        if not task["deadLetter"]:
            raise CommandError(
                f"task {task_id} is no dead letter: it is {task['state']}; "
                f"see `activation show {task_id}`",
                Exit.NOT_FOUND,
            )
        session.output.story(task)
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command()
def replay(
    ctx: typer.Context,
    *,
    task_ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="TASK", help="Which; any failed task.")
    ] = None,
    everything: All = False,
    equipment: Equipment = None,
    since: Since = None,
    before: Before = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be queued again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Queue failed tasks again, with all their attempts.

    Name the tasks, or use --all for every dead letter that --equipment, --since and --before
    allow.
    """
    which = TaskFilter(
        equipment=equipment, accepted_from=since, accepted_before=before, dead_letter=True
    )
    if everything == bool(task_ids):
        raise typer.BadParameter("name tasks, or use --all for all dead letters")
    if which != TaskFilter(dead_letter=True) and not everything:
        raise typer.BadParameter("--equipment, --since and --before go with --all")

    async def work(session: Session) -> Exit:
        named = [str(task_id) for task_id in task_ids or ()]
        if everything:
            named = [task["taskId"] for task in (await session.gateway.tasks(which))["tasks"]]
            if named and not (yes or dry_run):
                _confirm(len(named))
        call = partial(_would_retry, session.gateway) if dry_run else session.gateway.retry
        return await _replay(session, named, call, dry_run=dry_run)

    run(ctx, work, as_json=as_json)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise CommandError(
            f"nobody can be asked whether to queue all {count} again; use --yes", Exit.USAGE
        )
    if not typer.confirm(f"Queue all {count} again?", err=True):
        raise CommandError("nothing was queued again", Exit.USAGE)


async def _would_retry(gateway: "Gateway", task_id: str) -> Task:
    """Return a task that can be replayed; the gateway itself has the last word."""
    task = await gateway.task(task_id)
    if task["state"] != State.FAILED:
        raise CommandError(f"it is {task['state']}, not failed", Exit.CONFLICT)
    return task


async def _replay(
    session: Session,
    task_ids: Sequence[str],
    call: Callable[[str], Awaitable[Task]],
    *,
    dry_run: bool,
) -> Exit:
    """Replay what can be replayed; one task that cannot be does not hold up the others."""
    replayed: dict[str, Task] = {}
    refused: list[Refusal] = []

    async def replay_one(task_id: str) -> None:
        try:
            replayed[task_id] = await call(task_id)
        except CommandError as error:
            if error.code is Exit.UNREACHABLE:
                raise
            refused.append(Refusal(task_id, str(error), error.code))

    await for_each(task_ids, replay_one, at_once=_AT_ONCE)
    tasks = [replayed[task_id] for task_id in task_ids if task_id in replayed]
    session.output.replayed(tasks, refused, dry_run=dry_run)
    return max((refusal.code for refusal in refused), default=Exit.DONE)
