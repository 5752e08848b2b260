"""`version`."""

from importlib import metadata

import typer

from activation_cli.options import Json
from activation_cli.session import Target, open_output

app = typer.Typer()


@app.command()
def version(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Print the version of this program."""
    target: Target = ctx.obj
    open_output(as_json=as_json or target.as_json).version(metadata.version("activation-cli"))
