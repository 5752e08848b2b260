"""The command `activation`: its options, its commands, its exit codes."""

from typing import Annotated

import typer

from activation_cli import dead_letters, keys, submit, tasks, version
from activation_cli import target as target_commands
from activation_cli.batch import command as batch
from activation_cli.exits import MEANINGS
from activation_cli.local import command as local
from activation_cli.session import Target
from activation_cli.verify import command as verify

# The \b keeps the lines apart; exits are listed where people look for them.
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<3}  {text}" for code, text in MEANINGS.items())

app = typer.Typer(
    name="activation",
    epilog=_EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # Rich's help takes half a second more
    pretty_exceptions_enable=False,  # it prints the values of variables: they may be secrets
)


@app.callback()
def target(
    ctx: typer.Context,
    url: Annotated[
        str, typer.Option(envvar="ACTIVATION_URL", help="Where the gateway is.")
    ] = "http://localhost:8000",
    timeout_s: Annotated[
        float,
        typer.Option(envvar="ACTIVATION_CLI_TIMEOUT_S", min=0.1, help="Deadline of each call."),
    ] = 10.0,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ACTIVATION_API_KEY",
            show_default=False,
            help="Or an access token, for a gateway that asks for one; others of this machine can "
            "see an argument, and not a variable.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; may also stand after the command.")
    ] = False,
) -> None:
    """Activate customer equipment, and see what becomes of it."""
    ctx.obj = Target(url, timeout_s, as_json, api_key, transport=ctx.obj)  # tests give a transport


for group in (
    submit.app,
    tasks.app,
    batch.app,
    dead_letters.app,
    target_commands.app,
    keys.app,
    local.app,
    verify.app,
    version.app,
):
    app.add_typer(group)


def main() -> None:
    """Run the command line."""
    app(prog_name="activation")
