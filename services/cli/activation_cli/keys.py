"""`keys`: making API keys, and keys that encrypt parameters."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from activation_cli.options import Json, expiry
from activation_cli.session import Target

if TYPE_CHECKING:
    from pydantic import ValidationError

app = typer.Typer(
    name="keys", help="Make API keys, and keys that encrypt parameters.", no_args_is_help=True
)


@app.command()
def new(
    ctx: typer.Context,
    *,
    key_id: Annotated[str, typer.Option("--id", metavar="NAME", help="Names it in the logs.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scope", help="submit, read or operate; may be repeated."),
    ],
    expires: Annotated[
        datetime | None,
        typer.Option(
            metavar="WHEN",
            parser=expiry,
            help="Until then: 90d from now, or a time such as 2027-01-31T09:00:00Z.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second that each gateway takes of it.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="With --rate: so many at once, after a pause.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key.

    The key is shown this once, on stderr; stdout is the line for the file that
    ACTIVATION_API_KEYS_FILE names to the gateway: add >> keys.yaml.
    """
    from pydantic import ValidationError  # noqa: PLC0415  # too slow for --help

    from activation_gateway.api_keys import ApiKey, hash_of, new_key  # noqa: PLC0415  # the same

    key = new_key()
    entry = {
        "id": key_id,
        "sha256": hash_of(key),
        "scopes": scopes,
        "expires": expires,
        "ratePerSecond": rate,
        "burst": burst,
    }
    try:
        line = ApiKey.model_validate(entry).line()
    except ValidationError as error:
        raise _wrong(error) from None
    target: Target = ctx.obj
    if as_json or target.as_json:
        print(json.dumps({"key": key, "line": line}))
        return
    typer.echo(f"the key, shown this once: {key}", err=True)
    print(line)


@app.command()
def encryption(
    *,
    key_id: Annotated[
        str, typer.Option("--id", metavar="NAME", help="Names it beside what it encrypts.")
    ],
) -> None:
    """Make a key that encrypts the parameters of tasks.

    stdout is the line for the file that ACTIVATION_ENCRYPTION_KEYS_FILE names to gateways and
    workers. It is the secret itself: what it has encrypted is lost without it.
    """
    from pydantic import ValidationError  # noqa: PLC0415  # too slow for --help

    from activation.encryption import new_encryption_key  # noqa: PLC0415  # the same

    try:
        print(new_encryption_key(key_id).line())
    except ValidationError as error:
        raise _wrong(error) from None


def _wrong(error: "ValidationError") -> typer.BadParameter:
    fault = error.errors()[0]
    said = fault["msg"].removeprefix("Value error, ")
    return typer.BadParameter(": ".join([*map(str, fault["loc"]), said]))
