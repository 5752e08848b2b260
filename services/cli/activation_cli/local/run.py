"""`activation run`: a whole system on this machine until Ctrl-C."""

import asyncio
import signal
import sys
import time
from typing import Final, NoReturn

from rich.console import Console

from activation.clock import SystemClock
from activation.errors import ActivationError
from activation_cli.client import Gateway, connect
from activation_cli.exits import CommandError
from activation_cli.interruption import end_like_ctrl_c
from activation_cli.local.folder import locked
from activation_cli.local.samples import WORKING, show_samples
from activation_cli.local.settings import LocalSettings
from activation_cli.local.system import LocalSystem
from activation_cli.side_by_side import together

_LOOK_EVERY_S: Final = 0.2
_CALL_TIMEOUT_S: Final = 10.0

_ADDRESSES: Final = """
The system is up. Ctrl-C stops it; its tasks stay in {folder}.

  API       {url}
  docs      {url}/docs
  handler   {handler_url} (/script, /ledger)
  metrics   {metrics_urls}
  RabbitMQ  {amqp_url}
  store     {database_url}
  logs      {logs}

Try:

  curl -X POST {url}/api/v1/equipment/cpe/CPE000002 \\
       -H 'Content-Type: application/json' \\
       -d '{{"timeoutInSeconds": 60, "parameters": {{"config": "example"}}}}'
  curl -i {url}/api/v1/equipment/cpe/{equipment}/task/{task_id}
  curl {url}/api/v1/tasks
"""


def run_local(settings: LocalSettings) -> int:
    """Start a system, show three samples, stay until Ctrl-C or SIGTERM, and stop everything.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, 1 if something could not start or ended by
        itself, which stderr then says.
    """
    end_like_ctrl_c()
    console = Console(markup=False, highlight=False, emoji=False)
    try:
        with locked(settings.folder):
            _run(settings, console)
    except KeyboardInterrupt:
        console.print("stopped")
    except ActivationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(settings: LocalSettings, console: Console) -> None:
    """Start the system and stay until an exception, whichever it is, ends it."""
    begun = time.monotonic()
    _check_external(settings)
    system = LocalSystem(settings)
    console.print(f"data folder {settings.folder.resolve()}")
    try:
        system.start(console.print)
        console.print(f"ready after {time.monotonic() - begun:.1f} s")
        asyncio.run(together(_watch(system), _present(system, settings, console)))
    except KeyboardInterrupt:
        console.print("stopping")
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # make, uv and the terminal may all send it
        system.stop()


def _check_external(settings: LocalSettings) -> None:
    if not settings.rabbitmq_url and not settings.database_url:
        return
    from activation_cli.local import external  # noqa: PLC0415  # SQLAlchemy and aio-pika: a second

    if settings.rabbitmq_url:
        asyncio.run(external.check_broker(settings.rabbitmq_url))
    if settings.database_url:
        asyncio.run(external.check_database(settings.database_url))


async def _watch(system: LocalSystem) -> NoReturn:
    while True:
        system.check()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _present(system: LocalSystem, settings: LocalSettings, console: Console) -> None:
    api_key = settings.api_key
    async with connect(system.url, timeout_s=_CALL_TIMEOUT_S, api_key=api_key) as gateway:
        try:
            await _tell_of_others(gateway, console)
            task_id = await show_samples(gateway, console, SystemClock())
        except CommandError as error:
            console.print(f"no samples: {error}")
            task_id = "<taskId>"
    console.print(
        _ADDRESSES.format(
            folder=settings.folder,
            url=system.url,
            handler_url=system.handler_url,
            metrics_urls=" ".join(system.metrics_urls),
            amqp_url=_without_password(system.amqp_url),
            database_url=_without_password(system.database_url),
            logs=system.logs,
            equipment=WORKING,
            task_id=task_id,
        ),
        soft_wrap=True,
    )


async def _tell_of_others(gateway: Gateway, console: Console) -> None:
    counts = (await gateway.status())["counts"]
    unfinished = counts.get("queued", 0) + counts.get("running", 0)
    if unfinished:
        console.print(f"going on with {unfinished} unfinished tasks")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
