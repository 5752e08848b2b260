"""The command `run`."""

from pathlib import Path
from typing import Annotated

import typer

from activation_cli.local.settings import LocalSettings
from activation_cli.session import Target

app = typer.Typer()


@app.command()
def run(
    ctx: typer.Context,
    *,
    data_dir: Annotated[
        Path,
        typer.Option(envvar="ACTIVATION_DATA_DIR", help="Where tasks, queues and logs are kept."),
    ] = Path(".run"),
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65_535, help="Of the gateway.")
    ] = 8000,
    handler_seconds: Annotated[
        float,
        typer.Option(envvar="HANDLER_SECONDS", min=0, help="How long an activation takes."),
    ] = 3.0,
    rabbitmq_url: Annotated[
        str | None,
        typer.Option(envvar="RABBITMQ_URL", help="Use this RabbitMQ instead of a private one."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(envvar="DATABASE_URL", help="Use this PostgreSQL instead of SQLite."),
    ] = None,
) -> None:
    """Run a whole system on this machine: broker, gateway, worker and a mock handler."""
    from activation_cli.local.run import run_local  # noqa: PLC0415  # Rich, too slow for --help

    target: Target = ctx.obj
    settings = LocalSettings(
        folder=data_dir,
        port=port,
        handler_seconds=handler_seconds,
        rabbitmq_url=rabbitmq_url,
        database_url=database_url,
        api_key=target.api_key,
    )
    raise typer.Exit(run_local(settings))
