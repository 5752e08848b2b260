"""`target`: whether the provisioning system is called, and a say in it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from activation_cli.documents import Target
from activation_cli.exits import Exit
from activation_cli.options import Json
from activation_cli.session import Session, run

if TYPE_CHECKING:
    from activation_cli.client import Gateway

app = typer.Typer(
    name="target",
    help="Show whether the provisioning system is called, keep calls back, and go on.",
    no_args_is_help=True,
)


def _calls(text: str) -> int:
    """Read how many; 0: as many as it bears."""
    if text == "auto":
        return 0
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither a number of calls nor `auto`")


@app.command()
def show(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show whether it is called, and if not, why and until when."""
    _show(ctx, lambda gateway: gateway.target(), as_json=as_json)


@app.command()
def pause(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Keep new calls back until `resume`; those under way end by themselves."""
    _show(ctx, lambda gateway: gateway.pause_target(), as_json=as_json)


@app.command()
def resume(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Call it again at once, whatever held it back: a pause, failures, or its own wish."""
    _show(ctx, lambda gateway: gateway.resume_target(), as_json=as_json)


@app.command()
def limit(
    ctx: typer.Context,
    calls: Annotated[
        int,
        typer.Argument(
            parser=_calls, metavar="N|auto", help="So many at most, or as many as it bears."
        ),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Say how many calls there may be at once, of all workers; forgets what was learned of it."""
    _show(ctx, lambda gateway: gateway.limit_target(calls or None), as_json=as_json)


def _show(
    ctx: typer.Context, ask: "Callable[[Gateway], Awaitable[Target]]", *, as_json: bool
) -> None:
    async def work(session: Session) -> Exit:
        session.output.target(await ask(session.gateway))
        return Exit.DONE

    run(ctx, work, as_json=as_json)
