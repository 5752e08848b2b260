"""`submit` and `watch`: one activation, from the request to its end."""

from typing import Annotated
from uuid import uuid4

import typer

from activation_cli.documents import exit_for
from activation_cli.exits import Exit
from activation_cli.following import follow
from activation_cli.options import For, Json, TaskId
from activation_cli.parameters import read_parameters
from activation_cli.session import Session, run

app = typer.Typer()


@app.command()
def submit(
    ctx: typer.Context,
    *,
    equipment: Annotated[str, typer.Argument(metavar="ID", help="The device's serial number.")],
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter; may be repeated. The value is JSON or text; @FILE is a file's "
            "content, and - asks for it without echo: the way to give a password.",
        ),
    ] = None,
    timeout: Annotated[
        int | None, typer.Option(help="Seconds that one attempt may take; 60 if not given.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency key: the same key and request make one task only."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the task ends.")] = False,
    limit_s: For = None,
    as_json: Json = False,
) -> None:
    """Ask for the activation of a device."""

    async def work(session: Session) -> Exit:
        idempotency_key = str(uuid4()) if key is None else key
        parameters = read_parameters(param or [])
        session.advice = f"it is safe to ask again with --key {idempotency_key}"
        answer = await session.gateway.submit(
            equipment, parameters=parameters, timeout_s=timeout, key=idempotency_key
        )
        session.output.accepted(answer, equipment, idempotency_key)
        return await _watch(session, answer["taskId"], limit_s) if wait else Exit.DONE

    run(ctx, work, as_json=as_json)


@app.command()
def watch(
    ctx: typer.Context, *, task_id: TaskId, limit_s: For = None, as_json: Json = False
) -> None:
    """Follow a task until it ends."""

    async def work(session: Session) -> Exit:
        return await _watch(session, str(task_id), limit_s)

    run(ctx, work, as_json=as_json)


async def _watch(session: Session, task_id: str, limit_s: float | None) -> Exit:
    session.advice = f"the task goes on; follow it with `activation watch {task_id}`"
    with session.output.watching() as show:
        async for task in follow(
            session.gateway, task_id, patience=session.patience, limit_s=limit_s
        ):
            show(task)
    session.output.task(task)
    return exit_for(task)
