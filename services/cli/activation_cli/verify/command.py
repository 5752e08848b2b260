"""The command `verify`."""

import secrets
from pathlib import Path
from typing import Annotated, Final

import typer

from activation_cli.exits import CommandError, Exit
from activation_cli.options import Json, duration_s
from activation_cli.session import Target
from activation_cli.wording import plain

app = typer.Typer()

_QUIET_S: Final = 60.0
_QUIET_IN_CLUSTER_S: Final = 300.0  # a lease may be long, and a pod slow to start


@app.command()
def verify(
    ctx: typer.Context,
    *,
    local: Annotated[
        bool, typer.Option("--local", help="Start a system of processes, and break it.")
    ] = False,
    kubernetes: Annotated[
        bool,
        typer.Option(
            "--kubernetes",
            help="Break an installed release, in the current context of kubectl. Its handler is "
            "given invented devices: never a production system's.",
        ),
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option(help="With --kubernetes: where the release is, if not in the current one."),
    ] = None,
    release: Annotated[str, typer.Option(help="With --kubernetes: its name.")] = "activation",
    yes: Annotated[
        bool, typer.Option("--yes", help="With --kubernetes: do not ask before it begins.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="Drive the installation behind this gateway, and break nothing, with the same "
            "care. With --kubernetes: the release's gateways, if not by a port-forward."
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With --url or --kubernetes: the mock handler, for its ledger. The one of the "
            "chart is found.",
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="Show the scenarios and what each checks.")
    ] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", metavar="NAME", help="A scenario; may be repeated."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All scenarios.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Decides all that is left to chance; drawn and shown if not given."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=duration_s,
            metavar="DURATION",
            help="How long requests are sent, for each scenario; its faults come again and again.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="About so many requests, instead of --duration.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second.")] = 20.0,
    quiet: Annotated[
        float | None,
        typer.Option(
            parser=duration_s,
            metavar="DURATION",
            help="What the last tasks may take to end: 60s, and 5m with --kubernetes.",
        ),
    ] = None,
    outage: Annotated[
        float,
        typer.Option(
            parser=duration_s, metavar="DURATION", help="How long outages of servers last."
        ),
    ] = "5s",  # type: ignore[assignment]  # Typer parses the default as it does what is given
    postgres: Annotated[
        bool, typer.Option(help="With --local: PostgreSQL also where SQLite would do.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --local: how many scenarios at a time, each on servers of its own; 2, and "
            "at most one for each CPU.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the report here: text, JSON and HTML."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that nothing is lost and nothing done twice, whatever is broken meanwhile.

    Requests are sent, faults are injected, and then every request is accounted for. Leaves with 1
    if anything is violated.
    """
    from activation_cli.verify.session import Order, carry_out, list_scenarios  # noqa: PLC0415  # Rich, httpx: too slow for --help

    target: Target = ctx.obj
    if show_list:
        list_scenarios()
        return
    order = Order(
        local=local,
        kubernetes=kubernetes,
        namespace=namespace,
        release=release,
        agreed=yes,
        url=url,
        api_key=target.api_key,
        ledger_url=ledger,
        scenarios=tuple(scenario or ()),
        every=every,
        seed=secrets.randbelow(10**6) if seed is None else seed,
        run=f"VERIFY{secrets.token_hex(3).upper()}X",
        duration_s=count / rate if count else duration,
        rate=rate,
        quiet_s=quiet or (_QUIET_IN_CLUSTER_S if kubernetes else _QUIET_S),
        outage_s=outage,
        postgres=postgres,
        jobs=jobs,
        report=report,
        as_json=as_json or target.as_json,
    )
    try:
        code = carry_out(order)
    except CommandError as error:
        typer.echo(f"error: {plain(str(error))}", err=True)
        code = error.code
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = Exit.INTERRUPTED
    raise typer.Exit(code)
