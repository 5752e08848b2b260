"""`list`, `show`, `explain`, `cancel` and `status`: looking at tasks, and stopping one."""

from typing import Annotated, Final

import typer

from activation.clock import SystemClock
from activation.domain.task import State, Waiting
from activation_cli.documents import moment
from activation_cli.exits import Exit
from activation_cli.explanation import explain
from activation_cli.options import All, Before, Equipment, Json, Limit, Since, TaskId
from activation_cli.session import Session, run
from activation_cli.task_filter import TaskFilter

_OLDER_TASKS: Final = 20  # of the same device; the one that it waited for is among the latest

app = typer.Typer()


@app.command()
def status(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show the system at a glance.

    Tasks by state, dead letters, what RabbitMQ has not confirmed yet, and its queue.
    """

    async def work(session: Session) -> Exit:
        session.output.status(await session.gateway.status(), session.gateway.url)
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command("list")
def list_tasks(
    ctx: typer.Context,
    *,
    state: Annotated[
        list[State] | None, typer.Option("--state", help="Only those in this state; repeatable.")
    ] = None,
    equipment: Equipment = None,
    since: Since = None,
    before: Before = None,
    dead_letters: Annotated[
        bool | None,
        typer.Option("--dead-letters/--no-dead-letters", help="Only dead letters, or only others."),
    ] = None,
    limit: Limit = 50,
    everything: All = False,
    cursor: Annotated[str | None, typer.Option(help="Go on where the list before ended.")] = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    which = TaskFilter(
        states=tuple(state or ()),
        equipment=equipment,
        accepted_from=since,
        accepted_before=before,
        dead_letter=dead_letters,
    )

    async def work(session: Session) -> Exit:
        page = await session.gateway.tasks(
            which, limit=None if everything else limit, cursor=cursor
        )
        session.output.tasks(page["tasks"], page["cursor"])
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command()
def show(ctx: typer.Context, *, task_id: TaskId, as_json: Json = False) -> None:
    """Show the story of a task: its facts, events and attempts."""

    async def work(session: Session) -> Exit:
        session.output.story(await session.gateway.task(str(task_id)))
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command("explain")
def explain_task(
    ctx: typer.Context,
    *,
    task_id: TaskId,
    trace_url: Annotated[
        str,
        typer.Option(
            envvar="ACTIVATION_TRACE_URL",
            help="Where traces are shown, say http://localhost:16686/trace/{trace_id}.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell a task's story in words: what it waited for, what failed and why, what to do now."""

    async def work(session: Session) -> Exit:
        task = await session.gateway.task(str(task_id))
        older = TaskFilter(equipment=task["equipment"], accepted_before=moment(task["acceptedAt"]))
        before = await session.gateway.tasks(older, limit=_OLDER_TASKS)
        waits = task["waitingFor"] == Waiting.FOR_WORKER
        target = await session.gateway.target() if waits else None
        now = SystemClock().now()
        session.output.explanation(explain(task, before["tasks"], now, trace_url, target))
        return Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, *, task_id: TaskId, as_json: Json = False) -> None:
    """Cancel a task.

    One that runs is not torn out of the handler's hands: if its attempt does not succeed, it is
    cancelled instead of tried again.
    """

    async def work(session: Session) -> Exit:
        session.output.task(await session.gateway.cancel(str(task_id)))
        return Exit.DONE

    run(ctx, work, as_json=as_json)
